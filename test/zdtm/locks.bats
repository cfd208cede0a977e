load lib/zdtm

@test "POSIX, OFD and flock locks are held" {
	accept='FLOCK +ADVISORY WRITE [0-9]+ 00:' # of a socket, whose inode has another number
	zdtm locks
}

@test "leases hold, and are broken with the signal that was asked for" { zdtm locks_lease; }

@test "a lease that is being broken is refused, the holder runs on" {
	local opener

	park locks_lease
	cat <"$dir/write" >/dev/null 3>&- 4>&- &
	opener=$!
	within 5 grep -q BREAKING "/proc/$pid/fdinfo/4"
	run -4 crtool dump -t "$pid" -D "$(images)"
	[[ $output == *"fd 4: $dir/write: its lease is being broken, as somebody else opens the file: try again when the program has given it up"* ]]
	running "$pid"
	kill "$opener"
}

@test "who waits for a lock goes on waiting, and gets it: flock, POSIX, OFD" {
	local kind

	for kind in flock posix ofd; do
		zdtm locks_wait "$kind"
	done
}

@test "a lock that somebody took since the dump makes the restore fail" {
	local to

	park locks
	to=$(images)
	crtool dump -t "$pid" -D "$to"
	within 5 gone "$pid"
	run flock "$dir/whole" "$BUILD/crtool" restore -d -D "$to"
	[ "$status" -ne 0 ]
	[[ $output == *locks* ]]
}
