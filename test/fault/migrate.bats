# A migration one side of which is killed, at any system call: one tree runs, here or there, never both.
load ../zdtm/lib/zdtm
load lib/points

setup() {
	export TMPDIR=$BATS_TEST_TMPDIR/tmp

	mkdir "$TMPDIR"
	unshare -pf --mount-proc sleep 1000 3>&- 4>&- &
	space=$!
	disown "$space"
	within 5 grep -q . "/proc/$space/task/$space/children"
	space=$(cat "/proc/$space/task/$space/children")
	space=${space% }
}

teardown() {
	[ -z "$space" ] || kill -KILL "$space"
	zdtm_teardown
}

# All that the victim's directory is the place of: pids of roots that run, and of those that are stopped. Neither is who ends with
# a crtool that is just ending: he is traced still, or SIGKILL waits for him.
trees() {
	local each status

	runs=() stopped=()
	for each in $(find /proc -maxdepth 2 -name cwd -lname "$dir" 2>/dev/null | sed -nE 's|^/proc/([0-9]+)/cwd$|\1|p'); do
		status=$(cat "/proc/$each/status" 2>/dev/null) || continue
		if grep -qE '^(State:.[ZX]|TracerPid:.[1-9]|(Sig|Shd)Pnd:.*[13579bdf]..$)' <<<"$status"; then
			continue
		elif grep -q '^State:.T' <<<"$status"; then
			stopped+=("$each")
		else
			runs+=("$each")
		fi
	done
}

# One runs, or (the other side may run it, for all we know) one is stopped.
one_is_left() {
	trees
	[ "${#runs[@]}" = 1 ] && [ "${#stopped[@]}" -le 1 ] && return
	[ "${#runs[@]}" = 0 ] && [ "${#stopped[@]}" = 1 ]
}

# migration SIDE N WHAT: that side is killed (KILL), or nothing is done (-), at its Nth call.
migration() {
	local at="'$BUILD/test/fault/at' $2 $3" here='' there=''

	if [ "$1" = sender ]; then here=$at; else there=$at; fi
	AT_LOG=$BATS_TEST_TMPDIR/at eval "$here '$BUILD/crtool' migrate --timeout 5 -t $pid --via \"exec nsenter -t $space -p -m $there '$BUILD/crtool' receive\"" \
		>"$BATS_TEST_TMPDIR/said" 2>&1 3>&- 4>&- || true
}

sides() {
	local side=$1 step=$2 n calls points=0 unsure=0

	park fault/steady mix 3
	migration "$side" 0 -
	read -r _ calls _ <"$BATS_TEST_TMPDIR/at"
	calls=${calls%,}
	[ "$calls" -gt 100 ] || explain "$(cat "$BATS_TEST_TMPDIR/said" "$BATS_TEST_TMPDIR/at")"
	zdtm_teardown
	for ((n = 1 + FAULT_SEED % step; n <= calls; n += step)); do
		park fault/steady mix 3
		migration "$side" "$n" KILL
		within 20 unguarded
		# who is being killed there may still seem to run
		within 5 one_is_left && sleep 0.2 && within 5 one_is_left || explain "killed at $n: ${#runs[@]} run, ${#stopped[@]} are stopped: $(cat "$BATS_TEST_TMPDIR/said")"
		if [ "${#runs[@]}" = 1 ]; then
			pid=${runs[0]}
			[ "${#stopped[@]}" = 0 ] || kill -KILL "${stopped[0]}" 2>/dev/null || true
		else
			unsure=$((unsure + 1))
			pid=${stopped[0]}
			kill -CONT "$pid"
		fi
		release || explain "killed at $n of $calls: $(<"$BATS_TEST_TMPDIR/at") $(cat "$BATS_TEST_TMPDIR/said")"
		zdtm_teardown
		points=$((points + 1))
	done
	tell "$points of $calls points of the $side, after $unsure it was left stopped (FAULT_SEED=$FAULT_SEED)"
	((points > 0))
}

@test "killed at any call, a sender leaves one tree" {
	fewer 30
	sides sender "$FAULT_STEP"
}
@test "killed at any call, a receiver leaves one tree" {
	fewer 12
	sides receiver "$FAULT_STEP"
}

@test "a sender that is killed when it has said GO: the tree runs there, and is stopped here" {
	park fault/steady mix 3
	crtool migrate -t "$pid" --via "exec '$ROOT/test/fault/lib/proxy' nsenter -t $space -p -m '$BUILD/crtool' receive" || [ $? = 137 ]
	within 10 one_is_left
	trees
	[ "${#runs[@]}" = 1 ] && [ "${stopped[*]}" = "$pid" ] || explain "${runs[*]} run, ${stopped[*]} are stopped"
	kill -KILL "$pid"
	pid=${runs[0]}
	release
}
