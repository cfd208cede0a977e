load lib/zdtm
load lib/netns

setup() { netns_plain; }

@test "netlink sockets keep port id, groups and options, and hear again" { zdtm sk_netlink route; }
@test "netlink sockets that are connected to each other and to a group" { zdtm sk_netlink talk; }
@test "groups of uevents, of generic netlink, and beyond the first 32" { zdtm sk_netlink groups; }

@test "an answer that waits in a netlink socket: refused, or let go by --netlink-queue drain" {
	park sk_netlink queue
	run -4 crtool check -t "$pid"
	[[ $output == *"(sk_netlink): fd "*"(netlink socket): messages wait in it"*"--netlink-queue drain"* ]]
	to=$(images)
	run -4 crtool dump -t "$pid" -D "$to"
	[[ $output == *"messages wait in it"*"--netlink-queue drain"* ]]
	running "$pid"
	run -2 crtool dump -t "$pid" -D "$to" --netlink-queue pour
	[[ $output == *"--netlink-queue pour: is none of refuse, drain"* ]]
	run -0 crtool dump -t "$pid" -D "$to" --netlink-queue drain
	[[ $output == *"not carried: task $pid (sk_netlink): fd "*"the messages that wait in it"* ]]
	crtool restore -d -D "$to"
	release
}

@test "a port id that somebody else has: the restore says so" {
	park sk_netlink talk
	to=$(images)
	run -0 crtool dump -R -t "$pid" -D "$to"
	run crtool restore -d --new-pidns -D "$to"
	[ "$status" -ne 0 ]
	[[ $output == *"netlink socket "*": port id $pid of protocol 2 is taken by another socket"* ]]
	running "$pid"
	release
}

@test "netlink of protocols that remember the socket is refused by name" {
	park sk_netlink other
	run -4 crtool dump -t "$pid" -D "$(images)"
	[[ $output == *"task $pid (sk_netlink): fd "*"netlink socket of protocol 12, NETLINK_NETFILTER"*"--on-unknown-fd"* ]]
	running "$pid"
	release
}
