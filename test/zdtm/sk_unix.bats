load lib/zdtm

@test "pairs of stream sockets keep their queues, ends and options" {
	zdtm sk_unix stream
}

@test "pairs of datagram sockets keep their messages" {
	zdtm sk_unix dgram
}

@test "pairs of seqpacket sockets keep their messages" {
	zdtm sk_unix seqpacket
}

@test "ends that are shut down or were closed with something unread, a queue that is peeked at" {
	zdtm sk_unix_ends stream
	zdtm sk_unix_ends seqpacket
	zdtm sk_unix_ends dgram
}

@test "messages without content are there after dump -R, and after another dump" {
	local type

	for type in dgram seqpacket; do
		park sk_unix_ends "$type"
		dump_running
		dump_and_restore
		release
	done
}

@test "a datagram socket that was connected to a name outside is connected again" {
	zdtm sk_unix_log
}

@test "listeners, what they accepted and what waits keep a path or an abstract name" {
	zdtm sk_unix_name path
	zdtm sk_unix_name abstract
}

@test "a name that was removed stays the name of its sockets" {
	zdtm sk_unix_name deleted
	zdtm sk_unix_name gone
}

@test "a relative name, or one through a link, leads to the socket again" {
	zdtm sk_unix_name relative
	zdtm sk_unix_name symlink
}

@test "who is at the other end is told as it was (SO_PEERCRED, SO_PEERGROUPS)" {
	[ "$EUID" -eq 0 ] || skip "only root can be others"
	zdtm sk_unix_cred
}

@test "seqpacket sockets are listened with, too" {
	zdtm sk_unix_name seqpacket
}

@test "datagram sockets, circles of them, keep their messages with their senders" {
	zdtm sk_unix_dgram
}

@test "descriptors and credentials in flight arrive, sockets within sockets and in themselves" {
	zdtm sk_unix_flight stream
	zdtm sk_unix_flight dgram
	zdtm sk_unix_flight seqpacket
}

@test "connections that wait to be accepted keep what was sent, and there is room for as many more" {
	park sk_unix_refused waiting
	run crtool dump -R -t "$pid" -D "$(images)"
	release
	[[ $output != *"that has sent something"* ]] || skip "the kernel's memory cannot be read"
	zdtm sk_unix_waiting stream
	zdtm sk_unix_waiting seqpacket
}

@test "ends outside, who has closed before he was accepted, urgent data and epoll in flight are refused" {
	local how

	for how in outside left urgent epoll; do
		park sk_unix_refused "$how"
		run -4 crtool dump -t "$pid" -D "$(images)"
		case $how in
		outside) [[ $output == *"fd 3: socket:["*"its other end, pid "*" (sk_unix_refused), is outside of the tree; --ext-unix=close lets"* ]] ;;
		left) [[ $output == *"listening on $dir/name): a connection waits in it whose client has closed"*"try again when it is"* ]] ;;
		epoll) [[ $output == *"anon_inode:[eventpoll] is in flight and nobody has it open"* ]] ;;
		urgent) [[ $output == *"out-of-band data waits in it"* ]] ;;
		esac
		running "$pid"
		release
	done
}

@test "what was sent before it was accepted is refused where the memory of the kernel cannot be read" {
	park sk_unix_refused waiting
	run -4 blind_crtool dump -t "$pid" -D "$(images)"
	[[ $output == *"listening on $dir/name): a connection waits in it that has sent something"*"try again when it is"* ]]
	running "$pid"
	release
}

@test "--ext-unix closes or reconnects what leads outside, by the name of the other end" {
	park sk_unix_refused closed
	run -4 crtool dump -t "$pid" -D "$(images)" --ext-unix=close:/run/x
	dump_with=(--ext-unix=reconnect:/run/x --ext-unix=close)
	dump_and_restore
	release

	park sk_unix_refused reconnect
	run -4 crtool dump -t "$pid" -D "$(images)"
	[[ $output == *"is outside of the tree; --ext-unix=reconnect or =close lets"* ]]
	dump_with=("--ext-unix=reconnect:*/name")
	dump_and_restore
	release

	park sk_unix_refused reconnect
	dump_with=(--ext-unix-sk)
	dump_and_restore
	release

	run crtool dump -t 1 --ext-unix=other
	[[ $output == *"--ext-unix: 'other': give refuse, reconnect, close or inherit"* ]]
}

@test "--ext-unix inherit takes the descriptor that crtool was given" {
	park sk_unix_refused inherit
	dump --ext-unix=inherit
	run -4 crtool restore -d -D "$to"
	[[ $output == *"its other end is outside: start crtool with a descriptor 3 in its place"* ]]
	python3 - "$BUILD/crtool" restore -d -D "$to" 3>&- 4>&- <<-'END'
		import fcntl, os, socket, subprocess, sys
		a, b = socket.socketpair()
		a, b = (fcntl.fcntl(s, fcntl.F_DUPFD_CLOEXEC, 50) for s in (a, b))
		os.dup2(b, 3)
		os.write(a, b"n")
		sys.exit(subprocess.call(sys.argv[1:], pass_fds=[3]))
	END
	release
}

@test "a name that somebody else has taken is said" {
	local to

	park sk_unix_name path
	to=$(images)
	crtool dump -R -t "$pid" -D "$to"
	run -8 crtool restore -d -D "$to" --new-pidns
	[[ $output == *"name $dir/name: somebody else uses it"* ]]
	release
}

@test "a pidfd in flight arrives, and one of the sender comes with what waited" {
	zdtm sk_unix_pidfd flight
	"$BUILD/test/zdtm/sk_unix_pidfd" --probe 2>/dev/null || skip "no SO_PASSPIDFD here"
	zdtm sk_unix_pidfd passed
}

@test "a name below another root leads to the socket again, with its owner and mode" {
	[ "$EUID" -eq 0 ] || skip "only root can change its root"
	zdtm sk_unix_chroot
}
