load lib/zdtm

@test "threads live on when their main thread has exited" {
	zdtm leader plain
}

@test "a child whose threads all end by exit(2), the main one first" {
	zdtm leader code
}

@test "a signal that waits for a process without main thread" {
	zdtm leader signal
}

@test "a child that the main thread forked before it exited" {
	zdtm leader children
}

@test "the rights of a main thread that has exited" {
	zdtm leader creds
}

@test "a stopped process without main thread" {
	zdtm leader stopped
}
