load lib/zdtm

@test "duplicates share an offset, files opened twice do not; FD_CLOEXEC and gaps stay" {
	zdtm fds
}

@test "a descriptor just below the limit keeps its number" {
	park fds high
	dump_and_restore
	release
}
