load lib/zdtm
load lib/netns

setup() {
	netns_plain
	in_netns "$netns" ip route add 224.0.0.0/4 dev lo
}

@test "a bound UDP socket keeps its address and options: IPv4" { zdtm sk_udp bound 4; }
@test "a bound UDP socket keeps its address and options: IPv6" { once sk_udp bound 6; }
@test "a bound UDP socket of both IPv4 and IPv6" { once sk_udp bound dual; }
@test "a bound UDP-Lite socket" { lite && once sk_udp bound lite; }
@test "connected, with a port that was asked for or not: IPv4" { zdtm sk_udp connected 4; }
@test "connected, with a port that was asked for or not: IPv6" { once sk_udp connected 6; }
@test "no more connected" { once sk_udp disconnected; }
@test "sockets that share a port, in two processes" { zdtm sk_udp group; }
@test "datagrams that wait keep senders, borders and order: IPv4" { zdtm sk_udp queue 4; }
@test "datagrams that wait keep senders, borders and order: IPv6" { once sk_udp queue 6; }
@test "datagrams that wait in a socket of both" { once sk_udp queue dual; }
@test "datagrams that wait in a UDP-Lite socket" { lite && once sk_udp queue lite; }
@test "datagrams without content are there after dump -R, and after another dump" {
	local how

	for how in 4 6; do
		park sk_udp queue "$how"
		dump_running
		dump_and_restore
		release
	done
}

@test "datagrams of IPv4 in a socket of IPv6, behind a filter" { once sk_udp mapped; }
@test "datagrams keep what they were sent to, a group too: IPv4" { once sk_udp_mcast told 4; }
@test "datagrams keep what they were sent to, a group too: IPv6" { pair && once sk_udp_mcast told 6 v1 fd09::1; }
@test "multicast groups and their sources: IPv4" { zdtm sk_udp_mcast members 4; }
@test "multicast groups and their sources: IPv6" { pair && once sk_udp_mcast members 6 v1 fd09::1; }
@test "shut down for reading, for writing, for both" { zdtm sk_udp shut; }

@test "a ping socket keeps its number: IPv4" { ping_allowed && once sk_udp ping 4; }
@test "a ping socket keeps its number: IPv6" { ping_allowed && once sk_udp ping 6; }

@test "data that is corked stays so: IPv4" { zdtm sk_udp_cork 4; }
@test "data that is corked stays so: IPv6, UDP-Lite" { once sk_udp_cork 6 && lite && once sk_udp_cork lite; }

@test "data that is corked, of more than one packet" {
	in_netns "$netns" ip link set lo mtu 1500
	once sk_udp_cork 4
	once sk_udp_cork 6
}

@test "corked data is refused where the memory of the kernel cannot be read" {
	park sk_udp_cork 4
	run -4 blind_crtool dump -t "$pid" -D "$(images)"
	[[ $output == *"fd "*"IPv4 UDP"*"corked"* ]]
	running "$pid"
	release
}

@test "corked data for a network that is gone is lost, and that is said" {
	in_netns "$netns" ip address add 10.9.9.9/24 dev lo
	park sk_udp_cork away
	to=$(images)
	crtool dump -t "$pid" -D "$to"
	in_netns "$netns" ip address del 10.9.9.9/24 dev lo
	run -0 crtool restore -d -D "$to"
	[[ $output == *"not carried: socket "*": 3 bytes that were corked in it, for 10.9.9.9:9: "* ]]
	release
}

@test "datagrams beside what waits in an error queue" {
	park sk_udp stamped
	to=$(images)
	run -0 crtool dump -t "$pid" -D "$to"
	[[ $output == *"not carried: task $pid (sk_udp): fd "*"what waits in its error queue"* ]]
	[[ $output != *"datagrams that wait"* ]]
	crtool restore -d -D "$to"
	release
}

@test "an error that was not told yet is lost, and that is said" {
	park sk_udp refused
	to=$(images)
	run -0 crtool dump -t "$pid" -D "$to"
	[[ $output == *"not carried: task $pid (sk_udp): fd "*"an error that the program was not told yet"* ]]
	crtool restore -d -D "$to"
	release
}

@test "datagrams that cannot be sent again are lost, and that is said" {
	park sk_udp mapped
	to=$(images)
	crtool dump -t "$pid" -D "$to"
	in_netns "$netns" ip link set lo down
	run -0 crtool restore -d -D "$to"
	[[ $output == *"not carried: socket "*"1 of the 1 datagrams that waited in it"* ]]
	zdtm_teardown
}

@test "no memory to send datagrams again: a restore fails, and loses none" {
	local n calls=socket,connect,sendmsg,ioctl failed=0

	park sk_udp queue 4
	to=$(images)
	crtool dump -t "$pid" -D "$to"
	for ((n = 1; n < 200; n++)); do
		# Without -f: the restore traces the tree itself.
		run "${inside[@]}" strace -qq -o "$dir/calls" -e trace=$calls -e inject=$calls:error=ENOMEM:when=$n \
			"$BUILD/crtool" restore -d -D "$to" 3>&- 4>&-
		[[ $output != *"not carried"* ]]
		[[ $output != *"that waited in it: Cannot allocate memory"* ]] || ((++failed))
		grep -q INJECTED "$dir/calls" || break
		kill -KILL "$pid" 2>/dev/null || true
		within 5 gone "$pid"
	done
	((failed > 0))
	release
}

@test "of a tunnel's socket is said that the kernel reads it" {
	fresh_dir
	start python3 -c 'import socket, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
try: s.setsockopt(socket.IPPROTO_UDP, 100, 2)
except OSError: open("none", "w")
open("parked", "w")
time.sleep(100)'
	within 20 test -e "$dir/parked"
	[ ! -e "$dir/none" ] || skip "no UDP_ENCAP in this kernel"
	run -4 crtool dump -t "$pid" -D "$(images)"
	[[ $output == *"UDP_ENCAP 2"* ]]
	running "$pid"
}

@test "a port that is taken: its owner is named" {
	park sk_udp disconnected
	dump
	local port other

	port=$(crtool show -D "$to" | sed -nE 's/.*local: *(0200|02 00|"?0x0200)? ?([0-9a-f]{4}).*/\2/p' | head -1)
	other=$(crtool show -D "$to" | grep -c local)
	[ "$port" ]
	[ "$other" -gt 0 ]
	fresh_dir
	start python3 -c 'import socket, sys, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("0.0.0.0", int(sys.argv[1], 16)))
open("taken", "w")
time.sleep(60)' "$port"
	within 20 test -e "$dir/taken"
	run -8 crtool restore -d -D "$to"
	[[ $output == *" is in use by task $pid (python3"* ]]
}

# The loopback device has no multicasts of IPv6.
pair() {
	netns_pair
	within 20 in_netns "$netns" sh -c 'ip -6 route show table all dev v1 | grep -q ff00::/8'
}

lite() {
	python3 -c 'import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM, 136)' 2>/dev/null ||
		skip "no UDP-Lite in this kernel"
}

ping_allowed() {
	in_netns "$netns" sh -c 'echo 0 0 >/proc/sys/net/ipv4/ping_group_range' 2>/dev/null ||
		skip "net.ipv4.ping_group_range cannot be set"
}
