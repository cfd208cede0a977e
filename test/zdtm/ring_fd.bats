load lib/zdtm
load lib/ring

@test "rings that threads have registered stay where they were" {
	has_io_uring || skip "no io_uring here"
	zdtm ring_fd
}
