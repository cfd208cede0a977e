load lib/zdtm

@test "a fanotify group keeps its marks" { zdtm fanotify; }

refused() {
	park fanotify "$1"
	run -4 crtool dump -t "$pid" -D "$(images)"
	[[ $output == *"fd 3: anon_inode:[fanotify]: $2"* ]] || explain "it said: $output"
	running "$pid"
	release
}

@test "events that wait and marks that ask for permission are refused" {
	refused pending "events wait to be read: not supported"
	refused permission "asks for permission to open files (on "
}
