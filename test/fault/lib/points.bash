# Interfering with crtool at each system call that it makes.
#
#	load ../zdtm/lib/zdtm
#	load lib/points
#
#	victim=(fault/steady compute)
#	points KILL                  # dump -R, killed at each call (or at some of them, see below)
#
# Each point has a victim of its own. FAULT_STEP=7 takes every 7th point only,
# from a place that FAULT_SEED (printed) decides; `make test-fault` takes all.

victim=()
dump_how=(-R) # or how else it is made so that the victim lives on ...
dump_code=0   # ... and how that ends
FAULT_STEP=${FAULT_STEP:-7}
FAULT_SEED=${FAULT_SEED:-$RANDOM}
FAULT_BATCH=${FAULT_BATCH:-8} # points that share a program

# fewer N: only every Nth of these points, unless all are wanted; the seed rotates through the others.
fewer() {
	((FAULT_STEP == 1)) || FAULT_STEP=$((FAULT_STEP * $1))
}

# Run crtool under test/fault/at: interfere N WHAT args..., the status in $status. Its stdin is $from and its stdout $into, if they are set.
interfere() {
	local n=$1 what=$2

	shift 2
	status=0
	AT_LOG=$BATS_TEST_TMPDIR/at "${inside[@]}" timeout -s KILL 30 "$BUILD/test/fault/at" "$n" "$what" "$BUILD/crtool" "$@" \
		<"${from:-/dev/null}" >"${into:-/dev/null}" 2>"$BATS_TEST_TMPDIR/said" 3>&- 4>&- || status=$?
}

# How many system calls does it make?
count_calls() {
	local made

	interfere 0 - "$@"
	read -r _ made _ <"$BATS_TEST_TMPDIR/at"
	echo "${made%,}"
	return "$status"
}

# Who is traced or stopped, and how much is mapped in how many pieces; what else there is to see the victim checks itself.
traits() {
	grep -hE '^(TracerPid|State:.[tT])' /proc/"$pid"/task/*/status 2>/dev/null
	echo "descriptors" /proc/"$pid"/fd/*
	echo "children $(cat /proc/"$pid"/task/*/children)"
	echo "foreign code: $(grep -c "r-xp 00000000 00:00 0 *$" /proc/"$pid"/maps)"
}

# The next dump. A thread that a killed crtool has let go, or who looks after its sockets, may still be on the way out:
# that is told, and over soon.
dump_again() {
	local said

	for _ in {1..100}; do
		said=$(crtool dump -R "${dump_with[@]}" -t "$pid" -D "$to" 2>&1) && return
		[[ $said == *"still leaving a dump"* || $said == *"another crtool writes"* ]] || break
		sleep 0.02
	done
	echo "$said"
	return 1
}

# The file by which it says that it is parked.
has_closed() {
	! find "/proc/$pid/fd" -lname "$dir/parked" 2>/dev/null | grep -q .
}

# What may be left of the images: if crtool was killed, anything that the next
# dump tolerates; else a whole checkpoint or nothing.
left_over() {
	if [ -e "$to/manifest.img" ]; then
		crtool show -D "$to" >/dev/null || echo "leaves a checkpoint that is not whole"
	elif [ "$1" = KILL ]; then
		dump_again || echo "leaves what the next dump does not like"
	elif [ -e "$to" ]; then
		echo "leaves $(cd "$to" && echo *)"
	fi
}

# A line for the log even if all is well.
tell() {
	echo "# $1" >&3
}

# What else must not be there after a dump; tests may have their own.
left_behind() {
	:
}

# What the guard has still to undo, it does soon; prints what stays different from $before.
settle() {
	local after

	# It freezes the target again and again until nobody is left in the arena: a busy machine takes its time.
	local end=$((SECONDS + 20))

	while ((SECONDS <= end)); do
		after=$(traits)
		[ "$before" != "$after" ] || return 0
		sleep 0.01
	done
	diff <(echo "$before") <(echo "$after") | grep '^[<>]' | head -n 4
}

# disturb N WHAT: one point of a dump of $pid, of whom $before was seen; prints what is wrong afterwards. Tests may have their own.
disturb() {
	rm -rf "$to"
	interfere "$1" "$2" dump "${dump_how[@]}" "${dump_with[@]}" -t "$pid" -D "$to"
	# 10, or 128 + signal from before crtool caught it
	[[ $2 = =* ]] || [[ $status =~ ^($dump_code|10|137|143|130)$ ]] || echo "ends with $status"
	[[ $2 != =* || $status != 137 ]] || echo "hangs"
	[ "$status" != 0 ] || [ -e "$to/manifest.img" ] || echo "says that it did it, but no manifest"
	settle
	# glibc 2.36 itself falls over a brk(2), number 12, and gives up over an rseq(2), 334, that fails
	if grep -qE ", (12\(.*139|334\(.*134)\$" <<<"$(<"$BATS_TEST_TMPDIR/at") $status"; then
		left_over KILL 2>&1
	else
		left_over "$2" 2>&1
	fi
	left_behind
}

# harm WHAT N...: these points, one after the other, of one program, which checks itself at the end; prints what is wrong.
harm() {
	local what=$1 n before to=$BATS_TEST_TMPDIR/to said

	without_bats
	zdtm_count=$2$((10 + $#)) # a directory of its own, though in a subshell
	rm -rf "${BATS_TEST_TMPDIR:?}/$((zdtm_count + 1))" # of another victim of the same test
	park "${victim[@]}"
	within 5 has_closed
	before=$(traits)
	for n in "${@:2}"; do
		said=$(disturb "$n" "$what")
		[ -z "$said" ] || { echo "point $n ($(<"$BATS_TEST_TMPDIR/at")): $said" && break; }
	done
	release || echo "$(($# - 1)) points up to $n: it is not what it was"
	zdtm_teardown
}

# What bats does at each command of a test takes longer than most of them.
without_bats() {
	set +T
	trap - DEBUG
}

# each_point CALLS HARM WHAT TEXT: HARM WHAT N... at every point (see FAULT_STEP), some at a time; fails if one did harm, which
# it says, of each point alone.
each_point() {
	local n=$((1 + FAULT_SEED % FAULT_STEP)) bad=0 tried=0 some said one alone

	while ((n <= $1)); do
		for ((some = 0; some < FAULT_BATCH && n <= $1; some++, n += FAULT_STEP)); do
			set -- "$@" "$n"
		done
		tried=$((tried + some))
		said=$("$2" "$3" "${@:5}" 2>/dev/null) && [ -z "$said" ] || {
			echo "$said"
			alone=$bad
			for one in "${@:5}"; do
				said=$("$2" "$3" "$one" 2>/dev/null) && [ -z "$said" ] && continue
				bad=$((bad + 1))
				echo "alone: $said"
			done
			((bad > alone)) || bad=$((bad + 1))
		}
		set -- "${@:1:4}"
	done
	tell "$tried of $1 points of $4 with $3, $bad harmed (FAULT_SEED=$FAULT_SEED)"
	((tried > 0 && bad == 0))
}

# points WHAT: every point of a dump.
points() {
	local calls

	park "${victim[@]}"
	calls=$(count_calls dump "${dump_how[@]}" "${dump_with[@]}" -t "$pid" -D "$BATS_TEST_TMPDIR/count") || (($? == dump_code))
	zdtm_teardown
	each_point "$calls" harm "$1" "${victim[*]}"
}

# A checkpoint of the victim in $to; tests may have their own.
checkpoint() {
	park "${victim[@]}"
	to=$(images)
	crtool dump "${dump_with[@]}" -t "$pid" -D "$to"
	within 5 gone "$pid"
}

# Nobody of a killed crtool is at work any more.
unguarded() {
	! pgrep -x crtool-guard >/dev/null
}

# What an interrupted restore must leave: nobody, or the whole program; if it says that it runs, that.
all_or_nothing() {
	if ((status)); then
		within 20 unguarded
		within 3 gone_or_zombie && return
	fi
	[ "$(grep -hE '^TracerPid:.[1-9]|^State:.[tT]' /proc/"$pid"/task/*/status)" = "" ] ||
		echo "leaves $pid traced or stopped"
	release || echo "leaves something that is not the program"
}

# What else must not be there then; tests may have their own.
aftermath() {
	:
}

# Of what is short for a moment there is enough when it is done again: nothing is lost for that.
loses_nothing() {
	if [[ $1 =~ ^=(ENOMEM|EMFILE)$ ]] && ((status == 0)) && grep -q 'not carried' "$BATS_TEST_TMPDIR/said"; then
		cat "$BATS_TEST_TMPDIR/said"
	fi
}

last=0 # if it is set: all of so many calls at the end

# restore_points WHAT [OPTION...]: each point of a restore; nobody survives half-made, and the next restore works.
restore_points() {
	(
		without_bats
		interrupted_restores "$@"
	)
}

interrupted_restores() {
	local what=$1 options=("${@:2}") n calls said bad=0 tried=0 to whole=0

	checkpoint
	calls=$(count_calls restore -d "${options[@]}" -D "$to")
	release
	checkpoint
	n=$((1 + FAULT_SEED % FAULT_STEP))
	if ((last)); then
		n=$((calls - last)) FAULT_STEP=1
	fi
	for (( ; n <= calls; n += FAULT_STEP)); do
		tried=$((tried + 1))
		interfere "$n" "$what" restore -d "${options[@]}" -D "$to"
		said=$({ loses_nothing "$what" && all_or_nothing && aftermath; } 2>/dev/null)
		if [ -n "$said" ]; then
			bad=$((bad + 1))
			echo "point $n ($(<"$BATS_TEST_TMPDIR/at")): $said"
			zdtm_teardown
		fi
		if [ -e "$dir/release" ]; then # it was whole
			whole=$((whole + 1))
			[ "$to" = - ] || rm -r "$to"
			checkpoint
		fi
	done
	crtool restore -d "${options[@]}" -D "$to" <"${from:-/dev/null}"
	release
	tell "$tried of $calls points of restore${options[*]:+ ${options[*]}} of ${victim[*]} with $what, $bad bad, $whole whole (FAULT_SEED=$FAULT_SEED)"
	((tried > 0 && bad == 0))
}
