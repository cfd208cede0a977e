load lib/zdtm

@test "an epoll instance keeps what it watches, under old numbers, too" {
	zdtm epoll
}
