# Who has much memory writes it to the image itself, by helpers (dump/writers.h), unless that might be charged to it.
load lib/zdtm

teardown() {
	[ -z "$group" ] || rmdir "$group" || true
	zdtm_teardown
}

# dump of $pid to $to, what it says in $dir/said
dump_said() {
	to=$(images)
	crtool dump -vv "$@" -t "$pid" -D "$to" >"$dir/said" 2>&1
}

wrote_itself() {
	grep -q 'processes write its memory' "$dir/said"
}

# Nothing of ours is left in $pid.
is_itself() {
	[ -z "$(cat "/proc/$pid/task/$pid/children")" ]
	run ! grep 'r-xp 00000000 00:00 0 *$' "/proc/$pid/maps"
	run ! grep -rE '^(TracerPid:.[1-9]|State:.[tT])' "/proc/$pid/status"
}

comes_back() {
	crtool restore -d -D "$to"
	release
}

@test "much memory is written by its process" {
	park memory_large
	dump_said
	wrote_itself
	comes_back
}

@test "where it was, in runs of all lengths and beside pages of zeros" {
	park memory_dense
	dump_said
	wrote_itself
	comes_back
}

@test "by nobody who lives on: he would see how long his children took" {
	park memory_large
	dump_said -R
	run ! wrote_itself
	is_itself
	release
}

# refused WHY: crtool reads it, and says why
is_read() {
	run ! wrote_itself
	grep -q "does not write its memory itself: $1" "$dir/said"
	comes_back
}

@test "who has a limit to the size of files is read" {
	park memory_large
	prlimit --pid "$pid" --fsize=1000000:2000000
	dump_said
	is_read "it has a limit to the size of files"
	park memory_large
	prlimit --pid "$pid" --cpu=3600:7200
	dump_said
	is_read "it has a limit to the size of files, or to its CPU time"
}

@test "who has less of the CPU than crtool is read" {
	park memory_large
	renice -n 5 -p "$pid" >/dev/null
	dump_said
	is_read "its scheduling is not crtool's"
}

# The directory of a memory cgroup that is limited, or a reason why not.
limited_group() {
	local root

	root=$(awk '$3 == "cgroup" && $4 ~ /(^|,)memory(,|$)/ { print $2; exit }' /proc/mounts)
	[ "$root" ] || skip "no memory cgroup (version 1)"
	group=$root/crtool-test-$$
	mkdir "$group" 2>/dev/null || skip "no memory cgroup can be made"
	echo 400M >"$group/memory.limit_in_bytes" || skip "it cannot be limited"
}

@test "whose memory is limited is read: the image would be charged to it" {
	limited_group
	park memory_large
	echo "$pid" >"$group/cgroup.procs"
	dump_said
	is_read "its cgroups are limited"
}

@test "a dump that fails when they work, or when they have, leaves nothing of them" {
	for stage in take pages writers seal; do
		park memory_large
		! dump_said --fail-at "$stage" || false
		grep -q "failed at the end of stage $stage" "$dir/said"
		wrote_itself
		within 5 is_itself
		running "$pid"
		release
	done
}

# The first child that PID has, soon.
child_of() {
	local child=

	until [ "$child" ]; do
		read -r child _ <"/proc/$pid/task/$pid/children" || kill -0 "$1" || break
	done
	echo "$child"
}

@test "a helper that is killed is named, and the program goes on" {
	local hits=0 child dumper

	for moment in 0.00{0..9}{0,5}; do
		park memory_large
		to=$(images)
		crtool dump -t "$pid" -D "$to" >"$dir/said" 2>&1 &
		dumper=$!
		child=$(child_of "$dumper")
		sleep "$moment"
		[ -z "$child" ] || kill -KILL "$child" || true
		if wait "$dumper"; then
			comes_back
			continue
		fi
		grep -q "process [0-9]*, which writes its memory, was killed or has met a fault" "$dir/said" || explain "$(<"$dir/said")"
		hits=$((hits + 1))
		within 5 is_itself
		running "$pid"
		release
		((hits < 3)) || break
	done
	((hits))
}

@test "a full disk is told, and the program goes on" {
	park memory_large
	mkdir "$dir/small"
	mount -t tmpfs -o size=20m crtool-test "$dir/small" 2>/dev/null || skip "nothing can be mounted here"
	run ! crtool dump -t "$pid" -D "$dir/small/to"
	umount "$dir/small"
	[[ $output == *"No space left on device"* ]] || explain "$output"
	within 5 is_itself
	running "$pid"
	release
}
