load lib/zdtm

needs_pidfds() { threads_have_pidfds || skip "no pidfds of threads here"; }

@test "threads live on when their main thread has exited" {
	needs_pidfds
	zdtm leader plain
}

@test "a child whose threads all end by exit(2), the main one first" {
	needs_pidfds
	zdtm leader code
}

@test "a signal that waits for a process without main thread" {
	needs_pidfds
	zdtm leader signal
}

@test "a child that the main thread forked before it exited" {
	needs_pidfds
	zdtm leader children
}

@test "the rights of a main thread that has exited" {
	needs_pidfds
	zdtm leader creds
}

@test "a stopped process without main thread" {
	needs_pidfds
	zdtm leader stopped
}

# Before Linux 6.9.
@test "where there are no pidfds of threads, a process without main thread is refused by name" {
	park leader plain
	run -4 "$BUILD/test/fault/without" PIDFD_THREAD "$BUILD/crtool" dump -t "$pid" -D "$(images)" 3>&- 4>&-
	[[ ${lines[-1]} == *"task $pid (leader): its main thread has exited, and this kernel "* ]] || explain "$output"
	running "$pid"
	release
}
