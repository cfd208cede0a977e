load lib/zdtm
load lib/ring

setup() {
	has_io_uring || skip "no io_uring here"
	shows_rings || skip "this kernel does not show what is registered"
}

@test "buffers of a ring in memory of the program are taken on from where they were" { zdtm ring_groups ring; }
@test "the same of a ring in memory of the kernel that is mapped" { zdtm ring_groups mapped; }
@test "the same of buffers that were provided by requests" { zdtm ring_groups list; }
@test "many groups of all sorts" { zdtm ring_groups all; }
@test "a ring whose numbers have come round" { once ring_groups round; }
@test "a ring of buffers that may be taken by parts, none of which was" { once ring_groups whole; }

@test "a ring of buffers that are taken by parts, and have come round" {
	zdtm ring_groups parts
	accept='Sq(Thread|ThreadCpu|TotalTime|WorkTime) |poll_idle: ' # which is measured
	once ring_groups parts_polled
}

@test "the same of a ring that one thread alone may use, with and without an array of indexes" {
	zdtm ring_groups single
	once ring_groups noarray
}

@test "the same of a ring that a thread of the kernel polls" {
	accept='Sq(Thread|ThreadCpu|TotalTime|WorkTime) |poll_idle: ' # which is measured
	zdtm ring_groups polled
}

@test "the same of a ring that polls for completions" { zdtm ring_groups iopoll; }

@test "what provided buffers are refused for, by name" {
	refused_ring ring_groups fork "it has provided buffers, and more than one process has it open"
	refused_ring ring_groups gone "is in memory that its process has no more"
	refused_ring ring_groups bundle "(IORING_RECVSEND_BUNDLE)"
	refused_ring ring_groups parts_single "taken by parts (IOU_PBUF_RING_INC), and one thread alone"
	refused_ring ring_groups files_polled "it has provided buffers and registered files, and a thread of the kernel polls it"
}
