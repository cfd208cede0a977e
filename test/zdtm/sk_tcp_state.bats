# Every state of a connection, over every kind of address, with both ends in the tree and with one.
load lib/zdtm
load lib/netns

STATES='established fin_wait1 fin_wait2 close_wait closing last_ack'

setup() {
	netns_inside
	dump_with=(--tcp-established)
}

# within_tree ADDRESS
within_tree() {
	local state

	for state in $STATES; do
		echo "--- $state"
		once sk_tcp_state "$state" "$1"
	done
	netns_unlocked
}

# with_peer STATE ADDRESS [DEVICE [OWN]]: the other end is in another network namespace, at ADDRESS.
with_peer() {
	fresh_dir
	(cd "$dir" && exec nsenter -t "$outside" -n "$BUILD/test/zdtm/sk_tcp_state" peer "${2/v1/v2}" 7778 \
		>peer.out 2>peer.err 3>&- 4>&-) &
	client=$!
	within 20 test -e "$dir/listens"
	start "$BUILD/test/zdtm/sk_tcp_state" "$1" "$2" 7778 "${@:3}"
	within 20 parked_or_gone
	[ -e "$dir/parked" ] || explain "it did not park"
}

released() {
	release || explain "its peer: $(cat "$dir/peer.err")"
	peer_ends
}

peer_ends() {
	wait "$client" || explain "its peer: $(cat "$dir/peer.err")"
}

# The peer outside would see the end of the program that has gone on, and is killed.
not_of_a_snapshot() {
	[ "${ZDTM_MODE-}" != snapshot ] || skip "a program that goes on goes on with its connections"
}

# to_the_outside ADDRESS [DEVICE [OWN]]
to_the_outside() {
	local state

	not_of_a_snapshot
	netns_pair
	for state in $STATES; do
		echo "--- $state"
		with_peer "$state" "$@"
		dump_and_restore
		released
	done
	netns_unlocked
}

@test "all states, both ends in the tree: IPv4" { within_tree 127.0.0.1; }
@test "all states, both ends in the tree: IPv6" { within_tree ::1; }
@test "all states, both ends in the tree: IPv4 of IPv6 sockets" { within_tree ::ffff:127.0.0.1; }
@test "all states, one end in the tree: IPv4" { to_the_outside 10.9.0.2; }
@test "all states, one end in the tree: IPv6" { to_the_outside fd09::2; }
@test "all states, one end in the tree: IPv4 of IPv6 sockets" { to_the_outside ::ffff:10.9.0.2; }
@test "all states, one end in the tree, bound to its interface: IPv4" { to_the_outside 10.9.0.2 v1; }
@test "all states, one end in the tree, bound to its interface: IPv6" { to_the_outside fd09::2 v1; }

@test "all states, one end in the tree, bound to an interface that has not got its address" {
	netns_pair
	in_netns "$netns" ip addr add 10.9.7.7/32 dev lo
	in_netns "$outside" ip route add 10.9.7.7/32 via 10.9.0.1
	netns_pair() { :; }
	to_the_outside 10.9.0.2 v1 10.9.7.7
}

@test "all states, one end in the tree: addresses of the link" {
	netns_pair
	in_netns "$netns" ip addr add fe80::9:1/64 dev v1 nodad
	in_netns "$outside" ip addr add fe80::9:2/64 dev v2 nodad
	netns_pair() { :; }
	to_the_outside fe80::9:2%v1
}

@test "all states, dumped by -R and three times in a row" {
	local state

	not_of_a_snapshot
	netns_pair
	for state in $STATES; do
		echo "--- $state"
		with_peer "$state" 10.9.0.2
		dump_running
		dump_and_restore_thrice
		released
	done
	netns_unlocked
}

@test "a connection without timestamps, SACK and window scaling" {
	in_netns "$netns" sh -c 'cd /proc/sys/net/ipv4 && echo 0 >tcp_timestamps && echo 0 >tcp_sack && echo 0 >tcp_window_scaling'
	within_tree 127.0.0.1
}
