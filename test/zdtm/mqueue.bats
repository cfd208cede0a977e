load lib/zdtm

@test "a message queue keeps messages, attributes and flags" {
	zdtm mqueue
}

@test "an unlinked message queue is refused by name" {
	park mqueue unlinked
	run -4 crtool dump -t "$pid" -D "$(images)"
	[[ $output == *"fd 3: /crtool-mqueue-"*"this message queue was unlinked"* ]]
	release
}
