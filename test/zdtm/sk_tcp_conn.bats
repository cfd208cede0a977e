load lib/zdtm
load lib/netns

setup() {
	netns_inside
	dump_with=(--tcp-established)
}


# What is carried is the same for all families; each state is shown in one of them.
@test "a connection over IPv4" { zdtm sk_tcp_conn 4 idle; netns_unlocked; }
@test "a connection over IPv6, with unread data on both sides" { zdtm sk_tcp_conn 6 queued; netns_unlocked; }
@test "a connection over IPv4 of IPv6 sockets, full to the brim" { zdtm sk_tcp_conn mapped full; netns_unlocked; }
@test "a connection that one side has ended, unread" { zdtm sk_tcp_conn 4 half; netns_unlocked; }
@test "a connection over IPv6 that one side has ended, read" { zdtm sk_tcp_conn 6 half_read; netns_unlocked; }
@test "a connection that both sides have ended" { zdtm sk_tcp_conn 4 both; netns_unlocked; }
@test "a connection that was shut down for reading" { zdtm sk_tcp_conn 4 deaf; netns_unlocked; }
