load lib/zdtm

@test "POSIX, OFD and flock locks are held" {
	accept='FLOCK +ADVISORY WRITE [0-9]+ 00:' # of a socket, whose inode has another number
	zdtm locks
}

@test "locks on files of all sorts, with holes, of several processes and descriptions, shared and inherited" {
	accept='\(deleted\)|FLOCK +ADVISORY| 30 32' # made anew; the last was set by one who has ended
	zdtm locks_kinds
}

@test "leases hold, and are broken with the signal that was asked for" { zdtm locks_lease; }

@test "leases that are being broken are so again, and nobody is told twice" { zdtm locks_lease breaking; }

@test "the same where who opens the file is outside of the tree, and goes on" {
	local opener to

	park locks_lease
	to=$(images)
	cat <"$dir/write" >/dev/null 3>&- 4>&- &
	opener=$!
	within 5 grep -q BREAKING "/proc/$pid/fdinfo/4"
	crtool dump -R -t "$pid" -D "$to"
	kill -0 "$opener"
	grep -q 'BREAKING *READ' "/proc/$pid/fdinfo/4"
	rm -r "$to"
	crtool dump -t "$pid" -D "$to"
	wait "$opener"
	crtool restore -d -D "$to"
	grep -q 'BREAKING *READ' "/proc/$pid/fdinfo/4"
	kill -KILL "$pid"
}

@test "a lease of a file that cannot be opened any more is held as if nobody opened it, and that is said" {
	local opener

	park locks_lease
	to=$(images)
	(exec 3>&- 4>&- && : >>"$dir/read") &
	opener=$!
	within 5 grep -q BREAKING "/proc/$pid/fdinfo/3"
	crtool dump -t "$pid" -D "$to"
	wait "$opener"
	chattr +i "$dir/read" || skip "no file can be made immutable here"
	run crtool restore -d -D "$to"
	chattr -i "$dir/read"
	[ "$status" -eq 0 ]
	[[ $output == *"not carried: task $pid (locks_lease): fd 3: its lease is held as if nobody opened the file: Operation not permitted"* ]]
	release
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
