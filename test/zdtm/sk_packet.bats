load lib/zdtm
load lib/netns

setup() { netns_plain; }

@test "packet sockets keep protocol, interface, filter and options" { zdtm sk_packet plain; }
@test "memberships of packet sockets, each as often as it was asked for" { once sk_packet members; }
@test "a fanout group shares what comes in again" { once sk_packet fanout; }

@test "packets that wait in a packet socket are lost, and that is said" {
	park sk_packet queue
	to=$(images)
	run -0 crtool dump -t "$pid" -D "$to"
	[[ $output == *"not carried: task $pid (sk_packet): fd "*"(packet socket): the packets that wait in it"* ]]
	crtool restore -d -D "$to"
	release
}

# refused KIND MESSAGE
refused() {
	park sk_packet "$1"
	run -4 crtool dump -t "$pid" -D "$(images)"
	[[ $output == *"task $pid (sk_packet): fd "*"(packet socket): $2: not supported by this version; --on-unknown-fd=null"* ]]
	running "$pid"
	release
}

@test "a fanout group that a program chooses in is refused" { refused program "a program chooses among its fanout group (PACKET_FANOUT_DATA)"; }

