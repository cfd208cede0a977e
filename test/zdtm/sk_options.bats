# Whatever option of a socket can be set to another value and told, known to crtool or not, is as it was.
load lib/zdtm
load lib/netns

setup() {
	netns_inside
	dump_with=(--tcp-established)
}

@test "all options of a connection: IPv4" { once sk_options tcp4; }
@test "all options of a connection: IPv6" { once sk_options tcp6; }
@test "all options of a connection that has ended: IPv4" { once sk_options ended4; }
@test "all options of a connection that has ended: IPv6" { once sk_options ended6; }
@test "each option alone, of many connections: IPv4" { once sk_options each4; }
@test "each option alone, of many connections: IPv6" { once sk_options each6; }
@test "all options of a listener: IPv4" { once sk_options listen4; }
@test "all options of a listener: IPv6" { once sk_options listen6; }
@test "all options of a UDP socket: IPv4" { once sk_options udp4; }
@test "all options of a UDP socket: IPv6" { once sk_options udp6; }
@test "all options of a raw socket: IPv4" { once sk_options raw4; }
@test "all options of a raw socket: IPv6" { once sk_options raw6; }
@test "all options of a pair of stream sockets" { once sk_options stream; }
@test "all options of a pair of datagram sockets" { once sk_options dgram; }
@test "all options of a pair of seqpacket sockets" { once sk_options seqpacket; }
