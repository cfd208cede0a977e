load lib/zdtm
load lib/netns

setup() { netns_plain; }

# So many frames of version $1 were taken, so many wait.
@test "the ring of a packet socket, version 1" { zdtm sk_packet_ring 1 5 2; }
@test "the ring of a packet socket, version 2" { zdtm sk_packet_ring 2 21 3; }
@test "the ring of a packet socket, version 3" { zdtm sk_packet_ring 3 5 2; }

@test "a ring that was read to the end" {
	once sk_packet_ring 1 5 0
	once sk_packet_ring 2 0 0
	once sk_packet_ring 3 5 0
	once sk_packet_ring 3 0 0
}

@test "a ring that is full" {
	once sk_packet_ring 1 0 16
	once sk_packet_ring 2 21 16
	once sk_packet_ring 3 0 16
	once sk_packet_ring 3 5 16
}
