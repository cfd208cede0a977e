# Each system call of a dump fails once: whatever comes of it, the target runs
# on, and there is a whole checkpoint or none.
load ../zdtm/lib/zdtm
load lib/points

setup() {
	fewer 3
}

@test "no memory, at any call of a dump" {
	victim=(fault/steady compute)
	points '=ENOMEM'
}

@test "no space, at any call of a dump" {
	victim=(fault/steady mix 2)
	points '=ENOSPC'
}

@test "an input or output error, at any call of a dump" {
	victim=(fault/steady handle)
	points '=EIO'
}

@test "too many open files, at any call of a dump that asks one of many threads" {
	fewer 8
	victim=(fault/steady sleep 50)
	points '=EMFILE'
}

@test "no such process, at any call of a dump" {
	victim=(fault/family)
	points '=ESRCH'
}

@test "a disk quota is used up, at any call of a dump" {
	fewer 2
	victim=(fault/steady compute)
	points '=EDQUOT'
}

@test "no memory to read what /proc tells of a program: the dump fails, crtool does not fall over it" {
	local name n failed=0 to=$BATS_TEST_TMPDIR/to

	park fault/steady compute
	for name in cgroup limits oom_score_adj coredump_filter exe status smaps; do
		for n in {1..5}; do
			rm -rf "$to"
			AT_NAMES=$name interfere "$n" '=ENOMEM' dump -R --snapshot -t "$pid" -D "$to"
			[ "$status" -lt 128 ]
			((status == 0)) || ((++failed))
		done
	done
	((failed >= 7))
	release
}

@test "a kernel without control groups: the dump does without" {
	local n to=$BATS_TEST_TMPDIR/to

	park fault/steady compute
	for n in {1..5}; do
		rm -rf "$to"
		AT_NAMES=cgroup interfere "$n" '=2' dump -R --snapshot -t "$pid" -D "$to" # ENOENT
		[ "$status" -eq 0 ]
	done
	release
}
