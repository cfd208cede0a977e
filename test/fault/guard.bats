# What the guard of a killed crtool does when the tree runs on already, and what it meets then.
load ../zdtm/lib/zdtm
load lib/points

# The file by which its guard goes to work after that.
late_guard() {
	LATE_GUARD=$dir/late ASAN_OPTIONS=verify_asan_link_order=0 LD_PRELOAD=$BUILD/test/fault/late_preload "$@"
}

in_vfork() {
	grep -q '^State:.D' "/proc/$1/status"
}

# Of a hundred looks at it: how often was it not held? What it gets of a busy CPU is another matter.
looks_free() {
	local n=0

	for _ in {1..100}; do
		grep -q '^State:.[tT]' "/proc/$1/status" || n=$((n + 1))
		sleep 0.02
	done
	echo "$n"
}

# killed_at N: is there something for the guard to undo? It is at it until the release, then.
killed_at() {
	park fault/vforks
	read -r first second < <(cat "/proc/$pid/task/$pid/children") || true
	late_guard interfere "$1" KILL dump -R -t "$pid" -D "$(images)"
	[ "$status" = 137 ]
	touch "$dir/vfork"
	within 20 in_vfork "$second"
	touch "$dir/late"
	! within 1 unguarded
}

# While crtool waited for who cannot stop, it has taken the stops of all others: they are let go for all that.
@test "where somebody cannot be stopped, the guard keeps nobody else from running, and not for long" {
	local calls n first second

	park fault/vforks
	calls=$(count_calls dump -R -t "$pid" -D "$(images)")
	release
	for ((n = calls * 2 / 5; n < calls; n += calls / 20)); do
		! killed_at "$n" || break
		release
	done
	((n < calls))
	n=$(looks_free "$first")
	((n > 20)) || explain "it was free in $n of 100 looks"
	release
	within 20 unguarded
}

born=() # its arguments

# born_at N: crtool is killed there, and the program forks before the guard goes to work. What it found there in $found.
born_at() {
	park fault/born "${born[@]}"
	late_guard interfere "$1" KILL dump -R "${dump_with[@]}" -t "$pid" -D "$(images)"
	[ "$status" = 137 ] || return 1
	touch "$dir/fork"
	within 20 has_forked
	found=$(grep -h "r-xp 00000000 00:00 0 *$" "/proc/$pid/maps" || true)
	found+=$(find "/proc/$pid/fd" -lname "anon_inode:*userfaultfd*" 2>/dev/null)
	touch "$dir/late"
	within 20 unguarded
}

has_forked() {
	[ -e "$dir/forked" ]
}

# Over the calls of a dump by eights, and over those by which something of ours is there one by one.
born_points() {
	local calls n hits=0 step=8 found last=''

	park fault/born
	calls=$(count_calls dump -R "${dump_with[@]}" -t "$pid" -D "$(images)")
	release
	for ((n = calls / 4; n <= calls; n += step)); do
		born_at "$n" || break
		release || explain "point $n ($(<"$BATS_TEST_TMPDIR/at")), where there was $found"
		[ -z "$found" ] || hits=$((hits + 1))
		if [ "$found" ] && [ "$step" = 8 ]; then
			n=$((n - 7)) step=1
		elif [ -z "$found$last" ] && ((hits > 3)); then
			step=8
		fi
		last=$found
	done
	tell "at $hits points of $calls something of ours was there when it forked"
	((hits > 3))
}

@test "who is forked when crtool is dead and its guard has not come yet keeps nothing of ours" {
	born_points
}

@test "who is forked then keeps no userfaultfd of ours" {
	dump_with=(--track-mem)
	born_points
}

@test "who is forked then, and has left the tree meanwhile, keeps nothing of ours" {
	local calls n hits=0 found

	born=(orphan)
	dump_with=(--track-mem)
	park fault/born
	calls=$(count_calls dump -R "${dump_with[@]}" -t "$pid" -D "$(images)")
	release
	for ((n = calls * 6 / 10; n <= calls && hits < 3; n += ${#found} ? 5 : 20)); do
		born_at "$n" || break
		release || explain "point $n ($(<"$BATS_TEST_TMPDIR/at")), where there was $found"
		[ -z "$found" ] || hits=$((hits + 1))
	done
	((hits == 3))
}

untraced() {
	grep -q '^TracerPid:.0$' "/proc/$pid/status"
}

# handles STEP [HOW]: crtool is killed at every STEPth call, each of which it survives.
handles() {
	local step=$1 calls n

	((FAULT_STEP > 1)) || step=1
	park fault/handler "${@:2}"
	calls=$(count_calls dump -R -t "$pid" -D "$(images)")
	for ((n = calls * 2 / 5 + FAULT_SEED % step; n <= calls; n += step)); do
		interfere "$n" KILL dump -R -t "$pid" -D "$(images)"
		within 20 unguarded
		alive "$pid" || explain "point $n ($(<"$BATS_TEST_TMPDIR/at")): it has ended"
		untraced
	done
	release
}

# When its tracer is gone, signals come to the thread before it has left the code of ours: the handler returns to that.
@test "a program that is in a signal handler, on its way out of a dump whose crtool was killed, is not cut off from that way" {
	handles 3
}

@test "... nor is one whose handler has been interrupted by another, on an alternate stack" {
	handles 3 alternate
}

@test "... nor is one whose handler is far up its stack" {
	handles 7 deep
}
