load lib/zdtm

@test "duplicates share an offset, files opened twice do not; FD_CLOEXEC and gaps stay" {
	zdtm fds
}

@test "a descriptor just below the limit keeps its number" {
	park fds high
	dump_and_restore
	release
}

@test "FD_CLOEXEC of files that bear O_CLOEXEC themselves: message queues, terminals" {
	accept='fd.[0-9]*.flags' # the files do not, any more
	zdtm fds kept
}

@test "FD_CLOEXEC of what fanotify has opened" {
	there_is fds probe || skip "no fanotify that opens files"
	accept='fd.[0-9]*.flags'
	zdtm fds event
}
