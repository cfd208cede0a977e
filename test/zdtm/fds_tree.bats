load lib/zdtm

@test "processes share offsets, pipes, eventfds and an epoll instance" {
	zdtm fds_tree
}
