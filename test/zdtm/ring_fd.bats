load lib/zdtm

@test "rings that threads have registered stay where they were" {
	[ "$(cat /proc/sys/kernel/io_uring_disabled 2>/dev/null || echo 2)" = 0 ] || skip "no io_uring here"
	zdtm ring_fd
}
