load lib/zdtm

# Below the cgroup that we are in, whose name nobody else has; removed at the end whatever happens.
setup() {
	top=
	two=$(awk '$0 ~ / - cgroup2 /{print $5; exit}' /proc/self/mountinfo)
	[ "$two" ] || skip "cgroup version 2 is not mounted"
	top=crtool-$BASHPID-$RANDOM
	mkdir "$two/$top" 2>/dev/null || skip "no cgroup can be made"
	mkdir "$two/$top/a"
}

teardown() {
	zdtm_teardown
	[ -z "$top" ] || remove "$two/$top"
	[ -z "${one:-}" ] || remove "$one/$top"
	[ -z "${mounted:-}" ] || umount "$mounted"
}

# Their members may still be on their way out.
remove() {
	[ -d "$1" ] || return 0
	find "$1" -mindepth 1 -depth -type d -exec rmdir {} + 2>/dev/null || true
	within 10 rmdir "$1" 2>/dev/null
}

# begin GROUP [ARGS]: the victim, in GROUP.
begin() {
	local group=$1

	shift
	fresh_dir
	start "$BUILD/test/zdtm/cgroup" "$@"
	within 20 test -s "$dir/thread"
	echo "$pid" >"$group/cgroup.procs"
}

placed() {
	touch "$dir/placed"
	within 20 test -e "$dir/parked"
}

in_group() {
	grep -qx "0::/$top$1" "/proc/$pid/cgroup"
}

@test "a task is in its cgroup again, and so are its threads" {
	begin "$two/$top/a"
	placed
	dump_and_restore
	dump_and_restore
	in_group /a
	release
}

@test "a thread of a threaded cgroup is in its own again" {
	mkdir "$two/$top/a/t"
	echo threaded >"$two/$top/a/t/cgroup.type"
	begin "$two/$top/a"
	cat "$dir/thread" >"$two/$top/a/t/cgroup.threads"
	placed
	dump_and_restore
	grep -qx "0::/$top/a/t" "/proc/$pid/task/$(cat "$dir/thread")/cgroup"
	dump_running
	release
}

@test "version 1: a task and its thread are in their cgroups again" {
	one=$(awk '$0 ~ / - cgroup .*(pids|freezer|name=systemd)/{print $5; exit}' /proc/self/mountinfo)
	[ "$one" ] && mkdir -p "$one/$top/t" || skip "cgroup version 1 is not mounted"
	begin "$two/$top/a"
	echo "$pid" >"$one/$top/cgroup.procs"
	cat "$dir/thread" >"$one/$top/t/tasks"
	placed
	dump_and_restore
	grep -q ":/$top/t$" "/proc/$pid/task/$(cat "$dir/thread")/cgroup"
	release
}

# gone: dumped to $to, and its cgroup is removed. It will be elsewhere.
gone_group() {
	echo 7 >"$two/$top/a/cgroup.max.depth"
	begin "$two/$top/a" moved
	placed
	dump
	within 10 rmdir "$two/$top/a"
}

@test "a cgroup that is gone is told, and the task is where crtool is" {
	gone_group
	run -0 crtool restore -d -D "$to"
	[[ $output == *"not carried: cgroup :/$top/a: is not there"* ]]
	cmp "/proc/$pid/cgroup" /proc/self/cgroup
	release
}

@test "--manage-cgroups none and props want it to be there" {
	gone_group
	for mode in none props; do
		run -4 crtool restore -d -D "$to" --manage-cgroups "$mode"
		[[ $output == *"cgroup :/$top/a: is not there"* ]]
	done
	mkdir "$two/$top/a"
	crtool restore -d -D "$to" --manage-cgroups none
	in_group /a
	[ "$(cat "$two/$top/a/cgroup.max.depth")" = max ]
	release
}

@test "--manage-cgroups soft makes it with its settings, and leaves alone those of one that is there" {
	gone_group
	crtool restore -d -D "$to" --manage-cgroups soft
	in_group /a
	[ "$(cat "$two/$top/a/cgroup.max.depth")" = 7 ]
	dump
	echo 5 >"$two/$top/a/cgroup.max.depth"
	crtool restore -d -D "$to" --manage-cgroups soft
	[ "$(cat "$two/$top/a/cgroup.max.depth")" = 5 ]
	release
}

@test "--manage-cgroups full and props write settings also where it is there" {
	local depth=7

	gone_group
	crtool restore -d -D "$to" --manage-cgroups full
	for mode in full props; do
		echo "$depth" >"$two/$top/a/cgroup.max.depth"
		dump
		echo 5 >"$two/$top/a/cgroup.max.depth"
		crtool restore -d -D "$to" --manage-cgroups "$mode"
		[ "$(cat "$two/$top/a/cgroup.max.depth")" = "$depth" ]
		depth=9
	done
	in_group /a
	release
}

@test "--manage-cgroups strict refuses a cgroup that is there, and removes what it made when it fails" {
	gone_group
	mkdir "$two/$top/a"
	run -4 crtool restore -d -D "$to" --manage-cgroups strict
	[[ $output == *"cgroup :/$top/a: is there already"* ]]
	rmdir "$two/$top/a" "$two/$top"
	run -1 crtool restore -d -D "$to" --manage-cgroups strict --fail-at=run
	[ ! -e "$two/$top" ]
	crtool restore -d -D "$to" --manage-cgroups strict
	in_group /a
	release
}

@test "--manage-cgroups ignore asks nobody, and moves nobody" {
	begin "$two/$top/a" moved
	placed
	to=$(images)
	crtool dump -R -t "$pid" -D "$to" --manage-cgroups ignore
	[ "$(crtool show -D "$to" | grep -c '^cgroup')" = 0 ]
	dump
	run -0 crtool restore -d -D "$to" --manage-cgroups ignore
	[[ $output != *cgroup* ]]
	cmp "/proc/$pid/cgroup" /proc/self/cgroup
	release
}

@test "--cgroup-root: what was below the cgroup of the root task is below another one" {
	begin "$two/$top/a" moved
	placed
	dump
	run -2 crtool restore -d -D "$to" --cgroup-root nowhere
	crtool restore -d -D "$to" --manage-cgroups soft --cgroup-root ":/$top/b/c"
	in_group /b/c
	release
}

# The same of version 1, with a limit of the number of processes; that of version 2 stays.
gone_group_v1() {
	one=$(awk '$0 ~ / - cgroup .*pids/{print $5; exit}' /proc/self/mountinfo)
	[ "$one" ] && mkdir -p "$one/$top/a" || skip "cgroup version 1 of pids is not mounted"
	echo 77 >"$one/$top/a/pids.max"
	begin "$two/$top/a" moved
	echo "$pid" >"$one/$top/a/cgroup.procs"
	placed
	dump
	within 10 rmdir "$one/$top/a"
}

in_group_v1() {
	grep -q "^[0-9]*:pids:/$top$1$" "/proc/$pid/cgroup"
}

@test "version 1: a cgroup that is gone, and what none, props and ignore do about it" {
	gone_group_v1
	for mode in none props; do
		run -4 crtool restore -d -D "$to" --manage-cgroups "$mode"
		[[ $output == *"cgroup pids:/$top/a: is not there"* ]] || explain "$output"
	done
	run -0 crtool restore -d -D "$to"
	[[ $output == *"not carried: cgroup pids:/$top/a: is not there"* ]] || explain "$output"
	[ "$(grep :pids: "/proc/$pid/cgroup")" = "$(grep :pids: /proc/self/cgroup)" ]
	dump
	run -0 crtool restore -d -D "$to" --manage-cgroups ignore
	[ -z "$output" ]
	release
}

@test "version 1: soft makes it with its limit, full and props write that where it is there" {
	gone_group_v1
	crtool restore -d -D "$to" --manage-cgroups soft
	in_group_v1 /a
	[ "$(cat "$one/$top/a/pids.max")" = 77 ]
	for mode in soft full props; do
		echo 78 >"$one/$top/a/pids.max"
		dump
		echo 55 >"$one/$top/a/pids.max"
		crtool restore -d -D "$to" --manage-cgroups "$mode"
		in_group_v1 /a
		[ "$(cat "$one/$top/a/pids.max")" = "$([ "$mode" = soft ] && echo 55 || echo 78)" ]
	done
	release
}

@test "version 1: strict refuses one that is there, and makes it where it is not; --cgroup-root" {
	gone_group_v1
	rmdir "$two/$top/a" "$two/$top"
	mkdir "$one/$top/a"
	run -4 crtool restore -d -D "$to" --manage-cgroups strict
	[[ $output == *"cgroup pids:/$top/a: is there already"* ]] || explain "$output"
	rmdir "$one/$top/a" "$one/$top"
	crtool restore -d -D "$to" --manage-cgroups strict
	in_group_v1 /a
	[ "$(cat "$one/$top/a/pids.max")" = 77 ]
	dump
	crtool restore -d -D "$to" --manage-cgroups soft --cgroup-root "pids:/$top/b/c"
	in_group_v1 /b/c
	in_group /a
	release
}

# gone_file DIRECTORY: whose files are open, and which is made again with the cgroup.
gone_file() {
	park cgroup_file "$1"
	dump_and_restore
	dump
	within 10 rmdir "$1"
	crtool restore -d -D "$to" --manage-cgroups soft
	release
}

@test "open files of a cgroup, also of one that was removed meanwhile" { gone_file "$two/$top/a"; }

@test "open files of a cgroup that is mounted somewhere else" {
	mkdir "$BATS_TEST_TMPDIR/cgroups"
	mount -t cgroup2 none "$BATS_TEST_TMPDIR/cgroups" || skip "nothing can be mounted"
	mounted=$BATS_TEST_TMPDIR/cgroups
	gone_file "$mounted/$top/a"
}

@test "version 1: open files of a cgroup" {
	one=$(awk '$0 ~ / - cgroup .*(pids|freezer|name=systemd)/{print $5; exit}' /proc/self/mountinfo)
	[ "$one" ] && mkdir -p "$one/$top/a" || skip "cgroup version 1 is not mounted"
	gone_file "$one/$top/a"
}
