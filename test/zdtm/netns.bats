# A tree in a network namespace with a name, crtool outside of it.
load lib/zdtm
load lib/netns

crtool() {
	"$BUILD/crtool" "$@" 3>&- 4>&-
}

setup() {
	netns_inside
	made_dir=''
	[ -d /run/netns ] || made_dir=yes
	mkdir -p /run/netns
	name=$(mktemp -u /run/netns/crtool-XXXXXX)
	touch "$name"
	mount --bind "/proc/$netns/ns/net" "$name" || skip "no name for a namespace here"
}

teardown() {
	zdtm_teardown
	umount "$name" 2>/dev/null || true
	rm -f "$name"
	[ -z "$made_dir" ] || rmdir /run/netns 2>/dev/null || true
	netns_gone
}

@test "UDP sockets of a network namespace that has a name" { zdtm sk_udp bound; }
@test "netlink sockets there" { once sk_netlink route; }

@test "connections there: the lock is in that namespace, and gone at the end" {
	dump_with=(--tcp-established) restore_with=(--tcp-established)
	once sk_tcp_conn pair
	netns_unlocked
}

@test "a lock that stays there is removed by crtool unlock" {
	park sk_tcp_conn pair
	dump --tcp-established
	[ -n "$(in_netns "$netns" nft list tables)" ]
	crtool unlock -D "$to"
	netns_unlocked
}

@test "a namespace that is gone at the restore; another in its place by --path-map" {
	park sk_udp bound
	dump
	umount "$name"
	run -6 crtool restore -d -D "$to"
	[[ $output == *"the network namespace $name, which the program lived in, is not there: ip netns add, or --path-map"* ]]
	crtool restore -d -D "$to" --path-map "$name=/proc/$netns/ns/net"
	[ "$(readlink "/proc/$pid/ns/net")" = "$(readlink "/proc/$netns/ns/net")" ]
	release
}
