load lib/zdtm

@test "subreaper, membarrier, oom_score_adj and autogroup are kept" { zdtm process; }

@test "registrations for membarrier(2) are kept where the kernel does not tell them" {
	# Before Linux 6.3.
	dump_without GET_REGISTRATIONS process
	dump_without GET_REGISTRATIONS process few
}

@test "a crtool with a higher oom_score_adj restores the lower one of a task" {
	park process
	images=$(images)
	crtool dump -t "$pid" -D "$images"
	within 5 gone "$pid"
	bash -c "echo 500 >/proc/self/oom_score_adj; '$BUILD/crtool' restore -d -D '$images'"
	release
}

@test "sessions whose leaders are gone keep their autogroups" {
	[ -e /proc/self/autogroup ] || skip "a kernel without autogroups"
	zdtm process orphan
}

@test "a local descriptor table is refused by name" {
	park process ldt
	run crtool dump -t "$pid" -D "$(images)"
	[ "$status" -ne 0 ]
	[[ $output == *"has a local descriptor table"* ]]
	running "$pid"
	release
}
