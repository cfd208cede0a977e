load lib/zdtm

@test "inotify keeps its watches under their numbers" {
	zdtm inotify
}

@test "inotify with events that wait is refused" {
	park inotify pending
	run -4 crtool dump -t "$pid" -D "$(images)"
	[[ $output == *"fd 3: anon_inode:inotify: events wait to be read"* ]]
	running "$pid"
	release
}
