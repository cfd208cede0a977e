load lib/zdtm
load lib/netns

setup() { netns_plain; }

# The kernel's memory tells where it is in the ring.
known() {
	park sk_packet_sends 2 1 0
	run crtool dump -R -t "$pid" -D "$(images)"
	release
	[[ $output != *"which takes CAP_BPF and CAP_PERFMON"* ]] || skip "the kernel's memory cannot be read"
}

# So many frames of version $1 were sent, so many wait.
@test "a ring to send from, version 1" { known && zdtm sk_packet_sends 1 5 2; }
@test "a ring to send from, version 2" { known && zdtm sk_packet_sends 2 21 3; }
@test "a ring to send from, version 3" { known && zdtm sk_packet_sends 3 5 2; }

@test "a ring to send from that is new, empty, full" {
	known
	once sk_packet_sends 1 0 0
	once sk_packet_sends 2 15 0
	once sk_packet_sends 3 3 16
	once sk_packet_sends 2 0 16
}

@test "a ring to send from beside one to receive" {
	known
	once sk_packet_sends 1 7 1 both
	once sk_packet_sends 2 7 1 both
}

@test "a ring to send from with its options" {
	known
	once sk_packet_sends 2 6 2 dgram
	once sk_packet_sends 1 6 2 loss
	once sk_packet_sends 2 6 2 vnet
	once sk_packet_sends 3 6 2 loss dgram
}

@test "who may not look into the kernel is told why a ring to send from is refused" {
	local less=-bpf,-perfmon,-sys_admin

	park sk_packet_sends 2 1 0
	run -4 "${inside[@]}" setpriv --bounding-set "$less" --inh-caps "$less" "$BUILD/crtool" dump -R -t "$pid" -D "$(images)" 3>&- 4>&-
	[[ $output == *"task $pid (sk_packet_sends): fd "*"(packet socket): where in the ring that it sends from (PACKET_TX_RING) the kernel is tells the kernel's memory only, which takes CAP_BPF and CAP_PERFMON to read, and a kernel with BTF; --on-unknown-fd=null or =close lets it go"* ]]
	release
}
