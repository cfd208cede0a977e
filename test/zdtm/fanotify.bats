load lib/zdtm
load lib/overlay

@test "a fanotify group keeps its marks" { zdtm fanotify; }

refused() {
	park fanotify "$1"
	run -4 crtool dump -t "$pid" -D "$(images)"
	[[ $output == *"fd 3: anon_inode:[fanotify]: $2"* ]] || explain "it said: $output"
	running "$pid"
	release
}

# waiting KIND WORDS: what is said of events that wait; the victim looks what it finds.
waiting() {
	local to

	park fanotify "$1"
	to=$(images)
	run -0 crtool dump -t "$pid" -D "$to"
	[[ $output == *"not carried: task $pid (fanotify): fd "*": anon_inode:[fanotify]: events that wait to be read$2"* ]] ||
		explain "it said: $output"
	within 5 gone "$pid"
	crtool restore -d -D "$to"
	release
}

@test "events that wait to be read are told, and become an overflow event" {
	waiting pending "; after a restore an overflow event (FAN_Q_OVERFLOW) stands for them"
	waiting names "; after a restore an overflow event (FAN_Q_OVERFLOW) stands for them"
}

@test "those of a queue without an end are told to be lost" {
	waiting endless ", of a group that has no overflow event (FAN_UNLIMITED_QUEUE"
}

@test "marks that ask for permission are refused" {
	refused permission "asks for permission to open files (on "
}

# Before Linux 6.6.
@test "marks on overlayfs, where nobody gives the handles of names" {
	overlay
	start "$BUILD/test/zdtm/fanotify"
	within 20 parked_or_gone
	carried_old
}

@test "marks on overlayfs: of an inode, a mount and a file system" {
	overlay
	start "$BUILD/test/zdtm/fanotify"
	within 20 parked_or_gone
	dump_running
	dump_and_restore
	release
}
