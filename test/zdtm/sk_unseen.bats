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

@test "a filter of eBPF is refused before the freeze" {
	there_is sk_unseen filter || skip "no programs of BPF here"
	park sk_unseen filter
	run -4 crtool check -t "$pid"
	[[ $output == *"task $pid (sk_unseen): fd "*"(SO_ATTACH_BPF)"* ]]
	running "$pid"
	release
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
	park sk_unseen sticky v1
	dump_and_restore
	to=$(images)
	crtool dump -R -t "$pid" -D "$to"
	# SO_BUSY_POLL_BUDGET: nobody else can be asked for it
	! grep -q 'T.*sk_busy_loop_end' /proc/kallsyms || crtool show -D "$to" | grep -A1 'name: 70$' | grep -q 'value: 20000000'
	release
}

@test "flow labels, anycast addresses and a policy of IPsec are lost, and that is said" {
	netns_pair
	park sk_unseen leased v1 fd09::99
	run -0 crtool dump -R -t "$pid" -D "$(images)" --tcp-established
	[[ $output == *"not carried: task $pid (sk_unseen): fd "*" a flow label that"* ]]
	[[ $output == *"not carried: task $pid (sk_unseen): fd "*"flow labels"*"anycast addresses"* ]]
	[ ! -e "$dir/policy" ] || [[ $output == *"not carried: task $pid (sk_unseen): fd "*"(IP_XFRM_POLICY"* ]]
	release
}

@test "the packet that a connection began with is lost, and that is said; a dump does not take it" {
	park sk_unseen syn
	run -0 crtool dump -R -t "$pid" -D "$(images)" --tcp-established
	[[ $output == *"not carried: task $pid (sk_unseen): fd "*"(TCP_SAVED_SYN)"* ]]
	release
}

@test "a connection that is in repair mode is refused, and stays so" {
	park sk_unseen repair
	run -4 crtool dump -t "$pid" -D "$(images)" --tcp-established
	[[ $output == *"task $pid (sk_unseen): fd "*"(TCP_REPAIR)"* ]]
	release
	netns_unlocked
}
