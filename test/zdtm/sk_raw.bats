load lib/zdtm
load lib/netns

setup() {
	netns_plain
	in_netns "$netns" ip route add 224.0.0.0/4 dev lo
}

@test "a raw socket of ICMP: filter, address, group; one with its own headers" { zdtm sk_raw icmp; }
@test "connected raw sockets, with a port and without" { zdtm sk_raw connected; }
@test "raw sockets of IPv6, with checksums" { once sk_raw six; }
@test "a raw socket of ICMPv6 keeps its filter" { once sk_raw icmp6; }

@test "packets that wait in a raw socket are lost, and that is said" {
	park sk_raw queue
	to=$(images)
	run -0 crtool dump -t "$pid" -D "$to"
	[[ $output == *"not carried: task $pid (sk_raw): fd "*"the packets that wait in it"* ]]
	crtool restore -d -D "$to"
	release
}
