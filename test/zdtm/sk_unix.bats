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

@test "a datagram socket that was connected to a name outside is connected again" {
	zdtm sk_unix_log
}

@test "names, ends outside and descriptors in flight are refused" {
	local how

	for how in listen flight outside; do
		park sk_unix_refused "$how"
		run -4 crtool dump -t "$pid" -D "$(images)"
		case $how in
		listen) [[ $output == *"fd 3: socket:["*"(unix stream, listening on $dir/name): a socket with a name"* ]] ;;
		flight) [[ $output == *"fd "[34]": socket:["*"descriptors are in flight to it"* ]] ;;
		outside) [[ $output == *"fd 3: socket:["*"its other end is outside of the tree"* ]] ;;
		esac
		running "$pid"
		release
	done
}
