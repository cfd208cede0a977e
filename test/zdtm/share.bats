load lib/zdtm

@test "memory, descriptors, working directory and handlers, shared in every legal combination" {
	zdtm share combinations
}

@test "a grandchild that shares memory with both, descriptors with one" {
	zdtm share chain
}

@test "siblings that share what their parent has not" {
	zdtm share siblings
}

@test "processes that share memory, with threads" {
	zdtm share threads
}

@test "a child that shares memory and forks others, who do not" {
	zdtm share forks
}

@test "sharers with somebody between them are refused by name" {
	park share apart
	run -4 crtool dump -t "$pid" -D "$(images)"
	[[ "$output" =~ "task "[0-9]+" (share): shares its descriptors with task $pid (share), but not by a parent" ]]
	running "$pid"
	release
}

@test "a caller of vfork that waits for its child is refused by name" {
	park share vfork
	run -4 crtool dump -t "$pid" -D "$(images)"
	[[ "$output" =~ "task $pid (share): waits in vfork(2) for task "[0-9]+" (share) to call execve" ]]
	release
}
