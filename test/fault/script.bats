# Each op of the scripts that restored tasks run fails once, and each task ends there: nobody survives,
# the message names task and room, and the next restore works. FAULT_STEP as in lib/points.
load ../zdtm/lib/zdtm
load lib/points

fewer 3

# What an op that failed must leave: a failure that is told, and nobody.
spoil() {
	local what=$1 n=$2 said status=0

	said=$(timeout -s KILL 60 "$BUILD/crtool" restore -d -D "$to" --fail-at "$what:$n" 2>&1 3>&- 4>&-) || status=$?
	[[ $said != *"there are only "* ]] || return 1
	case $what in
	op) [[ $status = 1 && $said == "crtool: error: task "*": "*": "*"Function not implemented" ]] ;;
	death) [[ $status = 1 && $said == "crtool: error: "* ]] ;;
	esac || complain "ends with $status, says: $said"
	[[ $(wc -l <<<"$said") = 1 ]] || complain "says more: $said"
	within 5 nobody || complain "somebody survives"
	[ "$sums" = "$(cd "$to" && sha256sum ./*)" ] || complain "the images changed"
}

nobody() {
	! pgrep -f "$BUILD/test/${victim[0]}( |$)" >/dev/null
}

complain() {
	bad=$((bad + 1))
	echo "$what:$n: $1"
}

script_points() {
	local n to what sums bad=0 tried=0

	checkpoint
	sums=$(cd "$to" && sha256sum ./*)
	for what in op death; do
		for ((n = FAULT_SEED % FAULT_STEP; ; n += FAULT_STEP)); do
			spoil "$what" "$n" || break
			tried=$((tried + 1))
		done
	done
	crtool restore -d -D "$to"
	release
	tell "$tried ops of the scripts of ${victim[*]} failed or ended their task, $bad bad (FAULT_SEED=$FAULT_SEED)"
	((tried > 4 && bad == 0))
}

@test "an op of a thread fails, or ends it" {
	victim=(fault/steady mix 3)
	script_points
}

@test "an op of a task of a tree fails, or ends it" {
	victim=(fault/family)
	script_points
}

@test "an op that brings back open files fails, or ends the task" {
	victim=(zdtm/epoll)
	script_points
}
