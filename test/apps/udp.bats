# Programs that speak UDP and ICMP, with somebody outside who goes on meanwhile.
load lib/apps
load ../zdtm/lib/netns

setup() {
	netns_plain
	netns_pair
}

outside() {
	in_netns "$outside" "$@" 3>&- 4>&-
}

# asked N: so many questions were answered by now.
asked() {
	[ "$(cat "$dir/asked" 2>/dev/null || echo 0)" -ge "$1" ]
}

# Until 50 more are answered.
some_more() {
	within 20 asked $(($(cat "$dir/asked") + 50))
}

@test "a server of names answers all who ask, over IPv4 and IPv6" {
	local client

	needs python3
	fresh_dir
	start python3 "$PROGRAMS/names.py" serve 10.9.0.1 fd09::1
	within 20 test -e "$dir/parked"
	(cd "$dir" && outside python3 "$PROGRAMS/names.py" ask 10.9.0.1 fd09::1 10.9.0.1 >asker 2>asker.err) &
	client=$!
	within 20 asked 50
	for _ in 1 2 3; do
		dump_and_restore
		some_more
		dump_running
		some_more
	done
	touch "$dir/enough"
	wait "$client" || explain "$(cat "$dir/asker.err")"
	[ "$(cat "$dir/asker")" -ge 300 ]
	[ ! -s "$dir/err" ] || explain "the server complains"
}

# Packets that have come to the machine of the server.
received() {
	in_netns "$netns" awk '$1 == "v1:" { print $3 }' /proc/net/dev
}

# 20 more than $1.
more_received() {
	[ "$(received)" -ge $(($1 + 20)) ]
}

# Nobody is there for a while, as is asked again and again.
away() {
	local to

	to=$(images)
	crtool dump -t "$pid" --tcp-established -D "$to"
	within 5 gone "$pid"
	in_netns "$netns" nft list tables | grep -q crtool-
	within 20 more_received "$(received)"
	crtool restore -d -D "$to"
	netns_unlocked
	some_more
}

# connected ADDRESS...: a server on these, and somebody outside who is connected to it.
connected() {
	local client

	needs python3
	in_netns "$netns" nft list tables >/dev/null 2>&1 || skip "no nftables here"
	fresh_dir
	start python3 "$PROGRAMS/names.py" serve "$@"
	within 20 test -e "$dir/parked"
	(cd "$dir" && outside python3 "$PROGRAMS/names.py" connect 10.9.0.1 fd09::1 >asker 2>asker.err) &
	client=$!
	within 20 asked 50
	away
	away
	touch "$dir/enough"
	wait "$client" || explain "$(cat "$dir/asker.err")"
}

@test "who is connected to a server that is gone is not told so (--tcp-established)" { connected 10.9.0.1 fd09::1; }
@test "the same of a server at any address" { connected ::; }

# another: somebody else has the same port open; ended by the teardown.
another() {
	nsenter -t "$netns" -n socat -u UDP4-RECV:5301,bind=10.9.0.1,reuseport "OPEN:$dir/other,creat,append" 3>&- 4>&- &
	netns_pids+=("$!")
	within 20 opened 2
}

opened() {
	[ "$(in_netns "$netns" grep -c ":$(printf %X 5301) " /proc/net/udp)" = "$1" ]
}

others_too() {
	sent "$1"
	grep -q "$1" "$dir/other"
}

@test "a port that another program has open as well is not locked" {
	local to

	needs socat python3
	in_netns "$netns" nft list tables >/dev/null 2>&1 || skip "no nftables here"
	fresh_dir
	start socat -u UDP4-RECV:5301,bind=10.9.0.1,reuseport OPEN:got,creat,append
	within 20 opened 1
	another
	to=$(images)
	crtool dump -t "$pid" --tcp-established -D "$to"
	within 5 gone "$pid"
	netns_unlocked
	within 20 others_too alone
	crtool restore -d -D "$to"
	within 20 opened 2
}

@test "who must not lock says what is lost" {
	local to

	needs socat python3 setpriv
	fresh_dir
	start socat -u UDP4-RECV:5301,bind=10.9.0.1 OPEN:got,creat,append
	within 20 sends one
	to=$(images)
	run "${inside[@]}" setpriv --bounding-set=-net_admin --inh-caps=-net_admin "$BUILD/crtool" dump -t "$pid" \
		-D "$to" --tcp-established 3>&- 4>&-
	[ "$status" -eq 0 ]
	[[ $output == *"not carried: what is sent to UDP sockets while they are gone"* ]]
	within 5 gone "$pid"
	netns_unlocked
	crtool restore -d -D "$to"
	within 20 sends two
}

# What was sent while nobody was there is lost, as it would be with UDP; what waited is not.
@test "socat receives what waited in its socket" {
	local to word

	needs socat python3
	fresh_dir
	start socat -u UDP4-RECV:5301,bind=10.9.0.1 OPEN:got,creat,append
	within 20 sends one
	kill -STOP "$pid"
	within 20 stopped
	for word in two three four; do sent "$word"; done
	to=$(images)
	crtool dump -t "$pid" -D "$to"
	within 5 gone "$pid"
	crtool restore -d -D "$to"
	kill -CONT "$pid"
	within 20 lines_are four
	sent five
	within 20 lines_are five
	[ "$(uniq "$dir/got" | tr '\n' ' ')" = "one two three four five " ]
}

sent() {
	outside python3 -c 'import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.sendto(sys.argv[1].encode() + b"\n", ("10.9.0.1", 5301))' "$1"
}

# Until it is heard.
sends() {
	sent "$1"
	lines_are "$1"
}

lines_are() {
	[ "$(tail -n 1 "$dir/got" 2>/dev/null)" = "$1" ]
}

stopped() {
	grep -q '^State:.T' "/proc/$pid/status"
}

# The time that a server of NTP says: of version 4, mode 4 (server), stratum 8.
served() {
	outside python3 -c 'import socket, sys
s = socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(0.5)
s.sendto(b"\x23" + bytes(47), (sys.argv[1], 11123))
answer = s.recv(100)
sys.exit(len(answer) != 48 or answer[0] & 0x3f != 0x24 or answer[1] != 8)' "$1" 2>/dev/null
}

@test "chronyd serves the time" {
	needs python3
	command -v chronyd >/dev/null || skip "no chronyd; its package would replace another that sets the clock"
	fresh_dir
	start chronyd -x -d -U "port 11123" "allow all" "local stratum 8" "cmdport 0" "pidfile $dir/pid" "user root"
	within 20 served 10.9.0.1
	for _ in 1 2 3; do
		dump_and_restore
		within 20 served 10.9.0.1
		within 20 served fd09::1
	done
	kill "$pid"
	finish 20
}

# An echo that comes while nobody is there is lost.
@test "ping goes on" {
	needs ping
	fresh_dir
	start ping -n -i 0.05 -c 60 10.9.0.2
	within 20 lines out 10
	dump_and_restore
	within 20 lines out 20
	dump_running
	within 20 lines out 30
	dump_and_restore
	finish 30
	grep -E '60 packets transmitted, (5[0-9]|60) received' "$dir/out" || explain "$(cat "$dir/out")"
}

@test "ping over IPv6 goes on, with a socket for it alone" {
	needs ping
	in_netns "$netns" sh -c 'echo 0 0 >/proc/sys/net/ipv4/ping_group_range' || skip "ping_group_range cannot be set"
	fresh_dir
	start ping -6 -n -i 0.05 -c 40 fd09::2
	within 20 lines out 10
	dump_and_restore
	finish 30
	grep -E '40 packets transmitted, (3[0-9]|40) received' "$dir/out" || explain "$(cat "$dir/out")"
}
