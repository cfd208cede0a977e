load lib/zdtm

@test "a message queue keeps messages, attributes and flags" {
	zdtm mqueue
}

@test "who waits to send or to receive a message goes on to wait" { once mqueue_wait; }

@test "an empty queue without a name comes back, for all who have it open" { once mqueue_wait unlinked; }

@test "a registration for no notification stays one" { once mqueue_wait silent; }

@test "a registration for a notification is refused by name" {
	park mqueue_wait signal
	run -4 crtool dump -t "$pid" -D "$(images)"
	[[ $output == *"fd 3: /crtool-mqueue-"*"task $pid waits for a notification"* ]]
	release
}

@test "an unlinked message queue with messages is refused by name" {
	park mqueue unlinked
	run -4 crtool dump -t "$pid" -D "$(images)"
	[[ $output == *"fd 3: /crtool-mqueue-"*"this message queue was unlinked"* ]]
	release
}
