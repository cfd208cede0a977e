load lib/zdtm

@test "a directory is read on from where it was" {
	zdtm directory
}

@test "a mount that is attached nowhere is refused by name" {
	park directory detached
	run -4 crtool dump -t "$pid" -D "$(images)"
	[[ $output == *"fd 3: /: is the root of a mount that is attached nowhere"* ]]
	running "$pid"
	release
}

@test "a directory whose changes a program is notified of (dnotify) is refused by name" {
	park directory notify
	run -4 crtool dump -t "$pid" -D "$(images)"
	[[ $output == *"fd 3: $dir/d: notifications were asked for (F_NOTIFY, dnotify)"* ]]
	running "$pid"
	release
}
