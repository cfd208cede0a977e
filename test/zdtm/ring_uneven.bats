load lib/zdtm
load lib/ring

setup() {
	has_io_uring || skip "no io_uring here"
	shows_rings || skip "this kernel does not show what is registered"
	park ring_uneven fewer
	run crtool check -t "$pid"
	release
	[[ $output != *"or it cannot be told"* ]] || skip "this kernel does not count what is under way"
}

@test "a ring whose multishot requests have ended" { zdtm ring_uneven more; }
@test "a ring with requests that had no completion" { zdtm ring_uneven fewer; }
@test "a ring that another one has sent messages to, and that polls for completions" { once ring_uneven iopoll; }

@test "the same of a ring that one thread alone may use" {
	zdtm ring_uneven single
	once ring_uneven defer
	once ring_uneven array
}

@test "the same of a ring that a thread of the kernel polls" {
	accept='Sq(Thread|ThreadCpu|TotalTime|WorkTime) |poll_idle: ' # which is measured
	once ring_uneven polled
}

@test "a request that is under way is seen where numbers tell nothing, others are refused by name" {
	refused_ring ring_uneven hidden "requests are under way: not supported"
	refused_ring ring_uneven many "more than twice as many completions"
	refused_ring ring_uneven more "it cannot be told" blind_crtool
}
