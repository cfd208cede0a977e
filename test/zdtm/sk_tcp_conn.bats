load lib/zdtm
load lib/netns

setup() {
	netns_inside
	dump_with=(--tcp-established)
}

# Once restored, queues may have more room: what is behind them comes through, and the state goes on to the next.
to_the_end() {
	park sk_tcp_conn "$@"
	dump_running
	dump_and_restore
	release
	netns_unlocked
}

# What is carried is the same for all families; each state is shown in one of them.
@test "a connection over IPv4" { zdtm sk_tcp_conn 4 idle; netns_unlocked; }
@test "a connection over IPv6, with unread data on both sides" { zdtm sk_tcp_conn 6 queued; netns_unlocked; }
@test "a connection and a listener in flight inside a unix socket" { zdtm sk_tcp_conn 4 flight; netns_unlocked; }
@test "a connection over IPv4 of IPv6 sockets, full to the brim" { zdtm sk_tcp_conn mapped full; netns_unlocked; }
@test "a connection that one side has ended, unread" { zdtm sk_tcp_conn 4 half; netns_unlocked; }
@test "a connection over IPv6 that one side has ended, read" { zdtm sk_tcp_conn 6 half_read; netns_unlocked; }
@test "a connection that both sides have ended" { zdtm sk_tcp_conn 4 both; netns_unlocked; }
@test "a connection that one side has ended, behind more than the other takes" { to_the_end 4 fin_wait1; }
@test "a connection that both sides have ended, behind more than the others take" { to_the_end 6 closing; }
@test "a connection of which one side waits for its last acknowledgement" { to_the_end 4 last_ack; }
@test "a connection that was shut down for reading" { zdtm sk_tcp_conn 4 deaf; netns_unlocked; }

@test "urgent data that waits, and that was read" {
	zdtm sk_tcp_conn 4 urgent
	zdtm sk_tcp_conn 6 urgent_read
	netns_unlocked
}

@test "urgent data at the beginning, at the end, as ordinary data, before much, before the end" {
	local where

	for where in first last inline long fin; do
		once sk_tcp_conn 4 "urgent_$where"
	done
	netns_unlocked
}

@test "what waits in an error queue is lost, and that MSG_ZEROCOPY counts anew is said" {
	park sk_zerocopy
	to=$(images)
	run -0 crtool dump -t "$pid" -D "$to" --tcp-established
	[[ $output == *"not carried: task $pid (sk_zerocopy): fd "*"has SO_ZEROCOPY set"* ]]
	[[ $output == *"not carried: task $pid (sk_zerocopy): fd "*"what waits in its error queue"* ]]
	crtool restore -d -D "$to"
	release
}

# There nobody may have more room for a queue than the system allows to all (SO_RCVBUFFORCE).
@test "a connection in a user namespace" {
	unshare -U true 2>/dev/null || skip "no user namespaces here"
	netns_gone
	unshare --user --map-root-user -n sleep 7200 </dev/null >/dev/null 2>&1 3>&- 4>&- &
	netns=$!
	disown "$netns"
	netns_pids+=("$netns")
	within 10 netns_ready "$netns"
	in_netns "$netns" ip link set lo up
	inside=(nsenter -t "$netns" -U -n --preserve-credentials)
	to=$(images)
	park sk_tcp_conn 4 full
	crtool dump -R -t "$pid" -D "$(images)" --tcp-established
	crtool dump -t "$pid" -D "$to" --tcp-established
	within 5 gone "$pid"
	crtool restore -d -D "$to" --pidfile "$dir/pid"
	pid=$(cat "$dir/pid")
	release
	netns_unlocked
}
