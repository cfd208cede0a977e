load lib/zdtm

@test "an eventfd keeps its count and semaphore mode" {
	zdtm eventfd
}

# Before Linux 6.5.
@test "also where fdinfo does not tell the mode" {
	park eventfd
	carried_old
}

@test "an eventfd of which nothing tells the mode is refused by name" {
	park eventfd
	run -4 old blind_crtool dump -t "$pid" -D "$(images)"
	[[ ${lines[-1]} == *"task $pid (eventfd): fd 3: "*": only the memory of this kernel tells whether it is a semaphore"* ]]
	running "$pid"
	release
}
