load lib/zdtm

setup() {
	pool=/proc/sys/vm/nr_hugepages
	had=$(cat $pool) || skip "this kernel has no hugetlb"
	echo $((had + 16)) >$pool
	[ "$(cat $pool)" -ge $((had + 16)) ] || skip "no memory for huge pages"
}

teardown() {
	zdtm_teardown
	[ -z "${had:-}" ] || echo "$had" >$pool
}

@test "huge pages are kept, private, shared and in a memfd" { zdtm memory_huge; }

@test "a snapshot has huge pages as they were at the freeze" {
	park memory_huge
	snapshot_and_restore
	release
}

@test "a snapshot has huge pages as they were at the freeze, though they are written to meanwhile" {
	local to

	park snapshot huge
	to=$(images)
	run -0 crtool dump -R --snapshot -t "$pid" -D "$to"
	running "$pid"
	zdtm_teardown
	crtool restore -d -D "$to"
	release
}

@test "a restore without enough huge pages says so" {
	park memory_huge
	to=$(images)
	crtool dump -t "$pid" -D "$to"
	within 5 gone "$pid"
	echo 0 >$pool
	run crtool restore -d -D "$to"
	echo "$output"
	[ "$status" -ne 0 ]
	gone "$pid"
	echo $((had + 16)) >$pool
	crtool restore -d -D "$to"
	release
}
