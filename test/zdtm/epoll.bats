load lib/zdtm

@test "an epoll instance keeps what it watches, under old numbers, too" {
	zdtm epoll
}
@test "many rows, some of files whose number was taken anew" { zdtm epoll many; }
@test "exclusive rows, and one of a file that only another process has open" { zdtm epoll exclusive; }
@test "edges that were not told yet are told once" { zdtm epoll edges; }
@test "one-shot rows that have fired are silent" { zdtm epoll fired; }
