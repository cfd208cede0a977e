load lib/zdtm

at=''

# Where queues can be removed: they are nobody's file otherwise.
mounted() {
	at=$BATS_TEST_TMPDIR/mqueue
	mkdir "$at"
	mount -t mqueue none "$at" || skip "may not mount mqueue"
}

teardown() {
	zdtm_teardown
	[ -n "$at" ] || mounted
	[ -z "$pid" ] || rm -f "$at/crtool-mqueue-$pid-"*
	umount "$at"
}

@test "a message queue keeps messages, attributes and flags" {
	zdtm mqueue
}

@test "who waits to send or to receive a message goes on to wait" { once mqueue_wait; }

@test "an empty queue without a name comes back, for all who have it open" { once mqueue_wait unlinked; }

@test "a registration for no notification stays one" { once mqueue_wait silent; }

@test "an unlinked message queue keeps its messages" { zdtm mqueue unlinked; }

@test "a queue that is gone is made again with its messages; a restore that fails leaves none" {
	local to

	mounted
	park mqueue
	dump
	rm "$at/crtool-mqueue-$pid-"*
	run ! crtool restore -d -D "$to" --fail-at open
	[ -z "$(find "$at" -name "crtool-mqueue-$pid-*")" ]
	crtool restore -d -D "$to"
	release
}

@test "a queue that others have open stays where it is, or is refused by name" {
	local to queue

	mounted
	park mqueue
	exec 9<"/proc/$pid/fd/3"
	dump
	crtool restore -d -D "$to"
	release
	exec 9<&-
	park mqueue
	queue=$(readlink "/proc/$pid/fd/3")
	exec 9<"/proc/$pid/fd/3"
	dump
	exec 9<&-
	rm "$at$queue"
	run -4 crtool restore -d -D "$to"
	[[ $output == *"message queue $queue: is gone, and with it 2 messages"* ]]

	park mqueue unlinked
	exec 9<"/proc/$pid/fd/3"
	run -4 crtool dump -t "$pid" -D "$(images)"
	exec 9<&-
	[[ $output == *"fd 3: /crtool-mqueue-"*"of this message queue it was unlinked and holds 2 messages, which only its users can see, by taking messages, and task "*"has it open, too"* ]]
	release
}
