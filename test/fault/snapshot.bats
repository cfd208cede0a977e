# crtool is killed at each system call of a dump that makes a snapshot, or one of them fails: the target runs on, unharmed.
load ../zdtm/lib/zdtm
load lib/points

setup() {
	dump_with=(--snapshot)
	# most calls are those of any dump, which others look at
	fewer 3
}

@test "killed at any call, threads of which a snapshot is made run on" {
	victim=(fault/steady mix 5)
	points KILL
}

@test "killed at any call, a tree of which snapshots are made runs on" {
	victim=(fault/family)
	points KILL
}

@test "killed at any call, a program that compares all that it writes runs on" {
	victim=(snapshot)
	points KILL
}

@test "no memory, at any call of a dump that makes a snapshot" {
	victim=(fault/steady compute)
	points '=ENOMEM'
}

# Kill the copy as soon as there is one. Fails when the dump was faster.
kill_copy() {
	local copy='' dumper to

	to=$(images)
	crtool dump -R --snapshot -t "$pid" -D "$to" >"$dir/said" 2>&1 &
	dumper=$!
	until [ "$copy" ]; do
		read -r copy <"/proc/$pid/task/$pid/children" || kill -0 "$dumper" || break
	done
	sleep "$1"
	[ -z "$copy" ] || kill -KILL "$copy" || true
	! wait "$dumper"
}

@test "a copy that is killed is named, and the program goes on" {
	park memory_large
	for moment in 0.00{0..9}{0,5}; do
		if kill_copy "$moment"; then
			cat "$dir/said"
			grep -q "the copy of its memory, process [0-9]*, died of signal 9 before it was read" "$dir/said"
		fi
	done
	kill_copy 0
	running "$pid"
	release
}

# Is nothing left of a copy, neither it nor the arena that it was made from?
is_alone() {
	[ -z "$(cat "/proc/$pid/task/$pid/children")" ] && ! grep -q 'r-xp 00000000 00:00 0 *$' "/proc/$pid/maps"
}

kill_at() {
	interfere "$1" KILL dump "${dump_with[@]}" -R -t "$pid" -D "$BATS_TEST_TMPDIR/to"
	rm -rf "$BATS_TEST_TMPDIR/to"
}

# The guard may be too early, too late, or come while the copy is made, which makes it a tracee of the guard.
@test "crtool is killed while the kernel makes the copy" {
	local n=400 from

	park fault/wide # its copy takes a while
	while kill_at "$n" && is_alone; do
		((n += 8))
	done
	from=$((n - 10))
	for ((n = from; n < from + 20; n++)); do
		within 20 is_alone
		kill_at "$n"
	done
	within 20 is_alone
	release
}
