load lib/zdtm
load lib/netns

setup() {
	netns_inside
	[ "$(in_netns "$netns" cat /proc/sys/net/mptcp/enabled 2>/dev/null)" = 1 ] || skip "no MPTCP here"
}

@test "a connection of MPTCP is refused, by default and with --tcp-established, and goes on" {
	park sk_tcp_mptcp stay
	run -4 crtool dump -t "$pid" -D "$(images)"
	[[ $output == *"task $pid (sk_tcp_mptcp): fd "*"--tcp-close ends it"* ]]
	run -4 crtool dump -t "$pid" -D "$(images)" --tcp-established
	[[ $output == *"task $pid (sk_tcp_mptcp): fd "*"a connection of MPTCP cannot be saved; --tcp-close ends it"* ]]
	netns_unlocked
	release
}

@test "a connection of MPTCP is let go by --tcp-close: both ends find it ended, the listener is served" {
	park sk_tcp_mptcp
	to=$(images)
	run -0 crtool dump -t "$pid" -D "$to" --tcp-close
	[[ $output == *"the connection is ended, as --tcp-close asks"* ]]
	crtool restore -d -D "$to"
	release
	netns_unlocked
}
