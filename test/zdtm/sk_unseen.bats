# What no call tells of sockets is carried, refused or said to be lost, as far as the memory of the kernel tells it.
load lib/zdtm
load lib/netns

setup() {
	[ -r /sys/kernel/btf/vmlinux ] || skip "this kernel does not tell how its memory is laid out (BTF)"
	netns_inside
}

@test "a program chooses among the sockets of a port: UDP, TCP" {
	zdtm sk_unseen udp
	once sk_unseen tcp
}

@test "a program of eBPF that chooses, one that would choose others: refused before the freeze" {
	local kind

	for kind in ebpf swapped; do
		park sk_unseen "$kind"
		run -4 crtool check -t "$pid"
		[[ $output == *"task $pid (sk_unseen): fd "*"program chooses among the sockets of its port"*SO_ATTACH_REUSEPORT_?BPF* ]]
		running "$pid"
		zdtm_teardown
	done
}

@test "a program that chooses and cannot be seen is lost, and that is said" {
	park sk_unseen udp
	run -0 blind_crtool dump -R -t "$pid" -D "$(images)"
	[[ $output == *"not carried: task $pid (sk_unseen): fd "*"(SO_ATTACH_REUSEPORT_CBPF), if there is one: to see that takes CAP_BPF and CAP_PERFMON"* ]]
	release
}

@test "an interface for multicasts, given by its number" {
	netns_pair
	in_netns "$netns" ip route add 224.0.0.0/4 dev lo src 127.0.0.1
	once sk_unseen device v1 10.9.0.1
}

@test "an interface to send by, and how large packets of IPv6 may be" {
	netns_pair
	once sk_unseen sticky v1
}

@test "flow labels and anycast addresses are lost, and that is said" {
	netns_pair
	park sk_unseen leased v1 fd09::99
	run -0 crtool dump -R -t "$pid" -D "$(images)"
	[[ $output == *"not carried: task $pid (sk_unseen): fd "*"flow labels"*"anycast addresses"* ]]
	release
}

@test "the packet that a connection began with is lost, and that is said; a dump does not take it" {
	park sk_unseen syn
	run -0 crtool dump -R -t "$pid" -D "$(images)" --tcp-established
	[[ $output == *"not carried: task $pid (sk_unseen): fd "*"(TCP_SAVED_SYN)"* ]]
	release
}
