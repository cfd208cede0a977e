# Tests in network namespaces of their own: nothing of the machine's is seen or
# locked. A namespace lives as long as the process that holds it.
#
#	load lib/zdtm
#	load lib/netns
#
#	setup() { netns_inside; }

netns_pids=()

# netns_new: a namespace with its loopback device up; the pid of its holder is in $netns.
netns_new() {
	unshare -n sleep 7200 </dev/null >/dev/null 2>&1 3>&- 4>&- &
	netns=$!
	disown "$netns"
	netns_pids+=("$netns")
	within 10 netns_ready "$netns"
	in_netns "$netns" ip link set lo up
}

netns_ready() {
	[ "$(readlink "/proc/$1/ns/net")" != "$(readlink /proc/self/ns/net)" ]
}

# in_netns PID COMMAND...
in_netns() {
	nsenter -t "$1" -n "${@:2}"
}

# Victim and crtool run in a new namespace; skipped where that is not to be had.
netns_plain() {
	unshare -n true 2>/dev/null || skip "no network namespaces here"
	netns_new
	inside=(nsenter -t "$netns" -n)
}

# The same for those who need the lock.
netns_inside() {
	netns_plain
	in_netns "$netns" nft list tables >/dev/null 2>&1 || skip "no nftables here"
}

# No table of nftables is left in the namespace.
netns_unlocked() {
	[ -z "$(in_netns "${1:-$netns}" nft list tables)" ] ||
		explain "left behind: $(in_netns "${1:-$netns}" nft list tables)"
}

# They go when nobody is in them any more.
netns_gone() {
	local holder

	for holder in "${netns_pids[@]}"; do
		kill "$holder" 2>/dev/null || true
	done
}

teardown() {
	zdtm_teardown
	netns_gone
}

# netns_pair: a second namespace, its holder in $outside, joined by a veth pair: 10.9.0.1 and fd09::1 are the
# victim's, 10.9.0.2 and fd09::2 the other's.
netns_pair() {
	local first=$netns

	netns_new
	outside=$netns netns=$first
	in_netns "$netns" ip link add v1 type veth peer name v2 netns "$outside" || skip "no veth devices here"
	netns_address "$netns" v1 1
	netns_address "$outside" v2 2
}

netns_address() {
	in_netns "$1" ip addr add "10.9.0.$3/24" dev "$2"
	in_netns "$1" ip addr add "fd09::$3/64" dev "$2" nodad
	in_netns "$1" ip link set "$2" up
}
