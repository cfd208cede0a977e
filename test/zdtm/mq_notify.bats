load lib/zdtm

@test "a notification of a message by a signal keeps its value" { once mq_notify realtime; }

@test "a signal that nobody catches" { once mq_notify signal; }

@test "a notification by a thread of libc's" { once mq_notify thread; }

@test "the socket that is told is found among others" { once mq_notify thread netlink; }

@test "a socket with something to read may be the one that is told: refused" {
	park mq_notify thread unread
	run -4 crtool dump -t "$pid" -D "$(images)"
	[[ $output == *"messages wait in it"* ]]
	run -4 crtool dump -t "$pid" -D "$(images)" --netlink-queue drain
	[[ $output == *"(SIGEV_THREAD), and one of its sockets has messages: try again when they are received" ]]
	running "$pid"
	release
}

@test "a registration for nothing" { once mq_notify none full; }

@test "registered, and messages are there; the queue has no name" {
	once mq_notify signal full
	once mq_notify thread full
	once mq_notify signal unlinked
}

@test "a queue that is open in one direction only" {
	once mq_notify realtime reader
	once mq_notify thread writer
}

@test "a signal that is pending already, a queue that others have open: refused by name" {
	local queue

	park mq_notify realtime
	kill -37 "$pid"
	run -4 crtool dump -t "$pid" -D "$(images)"
	[[ $output == *"by signal 37 (mq_notify), whose value cannot be found out while that signal is pending: try again" ]]
	running "$pid"
	kill -KILL "$pid"
	park mq_notify realtime
	queue=$(readlink "/proc/$pid/fd/3")
	exec 9<"/proc/$pid/fd/3"
	run -4 crtool dump -t "$pid" -D "$(images)"
	exec 9<&-
	[[ $output == *"fd 3: $queue: of this message queue task $pid waits for a notification of it (mq_notify), which only its users can see, by taking messages, and task "*" (bash)"*" has it open, too"* ]]
	running "$pid"
	release
}

teardown() {
	zdtm_teardown
	rm -f /dev/mqueue/crtool-mq_notify-*
}
