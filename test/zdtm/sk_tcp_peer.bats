# Connections whose other end is not in the tree, but in another network namespace.
load lib/zdtm
load lib/netns

STREAM=$ROOT/test/zdtm/lib/stream.py

setup() {
	netns_inside
	netns_pair
	dump_with=(--tcp-established)
	busy=yes
}

# stream ADDRESS: the server is $pid, and somebody outside reads from it into $dir/got.
stream() {
	fresh_dir
	start python3 "$STREAM" serve "$1"
	within 20 test -e "$dir/parked"
	(cd "$dir" && exec nsenter -t "$outside" -n python3 "$STREAM" fetch "$1" >got 2>err.client 3>&- 4>&-) &
	client=$!
	within 20 test -e "$dir/begun"
}

whole() {
	touch "$dir/enough"
	finish 20
	wait "$client" || explain "the client failed: $(cat "$dir/err.client")"
	[ "$(cat "$dir/got")" = "$(cat "$dir/out")" ] || explain "sent $(cat "$dir/out"), got $(cat "$dir/got")"
	[ ! -s "$dir/err" ] || explain "the server complains"
	netns_unlocked
}

# rounds N ADDRESS
rounds() {
	local n

	stream "$2"
	for ((n = 0; n < $1; n++)); do
		alive "$pid"
		dump_and_restore
		sleep 0.05
	done
	whole
}

@test "a stream to the outside survives ten rounds" { rounds 10 10.9.0.1; }
@test "a stream to the outside over IPv6 survives five rounds" { rounds 5 fd09::1; }

# Two of a hundred packets are lost.
lossy() {
	in_netns "$outside" nft -f - <<-RULES || skip "no nft rules"
		table inet lossy {
			chain in {
				type filter hook input priority 0;
				meta l4proto tcp numgen random mod 100 < 2 drop
			}
		}
	RULES
}

@test "a stream over a line that loses packets survives five rounds" {
	lossy
	rounds 5 10.9.0.1
}

# TRANSFER_MIB=1024 for the whole gigabyte.
@test "a large transfer over a line that loses packets survives ten rounds, with the same checksum" {
	local n

	lossy
	fresh_dir
	start python3 "$ROOT/test/zdtm/lib/transfer.py" serve 10.9.0.1 "${TRANSFER_MIB:-64}"
	within 20 test -e "$dir/parked"
	(cd "$dir" && exec nsenter -t "$outside" -n python3 "$ROOT/test/zdtm/lib/transfer.py" fetch 10.9.0.1 \
		>got 2>err.client 3>&- 4>&-) &
	client=$!
	within 20 established 10.9.0.1:7777
	for n in {1..10}; do
		touch "$dir/go.$n"
		sleep 0.01 # it goes on
		dump_and_restore
	done
	touch "$dir/go.11"
	wait "$client" || explain "the client failed: $(cat "$dir/err.client")"
	finish 60
	[ -s "$dir/got" ]
	[ "$(cat "$dir/got")" = "$(cat "$dir/out")" ] || explain "the checksums differ"
	netns_unlocked
}

# What of 500 bytes is lost, however often it is sent: 20 are of IP, 32 of TCP with its stamps.
hole() {
	in_netns "$netns" nft add rule inet hole in ip length 552 tcp sport 7777 drop
}

# How many packets came behind it.
behind_hole() {
	in_netns "$netns" ss -Htni state established | sed -nE 's/.* rcv_ooopack:([0-9]+).*/\1/p'
}

more_behind_hole() {
	[ "$(behind_hole)" -gt "$1" ] 2>/dev/null
}

have() {
	[ "$(cat "$dir/have" 2>/dev/null)" = "$1" ]
}

# Its sender was told that it is there (SACK).
@test "what lies behind a hole is dropped by a restore, and is sent again" {
	local n before way=(- dump_and_restore dump_running dump_and_restore)

	in_netns "$netns" nft 'table inet hole { chain in { type filter hook input priority 0; }; }' || skip "no nft rules"
	fresh_dir
	(cd "$dir" && exec nsenter -t "$outside" -n python3 "$ROOT/test/zdtm/lib/hole.py" give 10.9.0.2 7777 >given 2>err.client 3>&- 4>&-) &
	client=$!
	within 20 test -e "$dir/parked.giver"
	start python3 "$ROOT/test/zdtm/lib/hole.py" take 10.9.0.2 7777
	within 20 test -e "$dir/parked"
	for n in 1 2 3; do
		hole
		before=$(behind_hole)
		touch "$dir/go.$n"
		within 20 more_behind_hole "${before:-0}" || explain "nothing came behind the hole"
		"${way[n]}"
		in_netns "$netns" nft flush chain inet hole in
		within 60 have $((800 * n)) || explain "have $(cat "$dir/have"): $(in_netns "$outside" ss -tni)"
	done
	in_netns "$netns" nft delete table inet hole
	touch "$dir/enough"
	finish 20
	wait "$client" || explain "the other end failed: $(cat "$dir/err.client")"
	[ "$(cat "$dir/out")" = "$(cat "$dir/given")" ] || explain "the checksums differ"
	netns_unlocked
}

@test "dump -R: the stream goes on, ten times" {
	local n

	stream 10.9.0.1
	for ((n = 0; n < 10; n++)); do dump_running; done
	whole
}

# stages dump|restore: those that it has, in their order.
stages() {
	sed -n "/^} stages\[\]/,/^};/p" "$ROOT/$1/$1.c" | grep -oE '\{ "[a-z]+"' | tr -d '{ "'
}

# Addresses and interfaces of the victim's namespace.
network() {
	in_netns "$netns" ip -o addr | awk '{ print $2, $3, $4 }'
	in_netns "$netns" ip -o link | awk '{ print $2 }'
}

@test "at whatever stage a dump fails, the stream goes on, nothing is locked and no address is left" {
	local stage before tried=0

	stream 10.9.0.1
	before=$(network)
	for stage in $(stages dump | sed '/^seal$/q'); do
		run crtool dump -t "$pid" -D "$(images)" --tcp-established --fail-at "$stage"
		[ "$status" -ne 0 ]
		netns_unlocked
		[ "$(network)" = "$before" ] || explain "$stage: was $before, is $(network)"
		tried=$((tried + 1))
	done
	[ "$tried" -ge 12 ]
	whole
}

# Neither one that listens nor a connection, in repair mode or not.
no_sockets() {
	[ -z "$(in_netns "$netns" ss -Htan)" ]
}

@test "at whatever stage a restore fails, no socket and no address is left, and it can be done again" {
	local to stage before tried=0

	to=$(images)
	stream 10.9.0.1
	before=$(network)
	crtool dump -t "$pid" -D "$to" --tcp-established
	for stage in $(stages restore | grep -vx commit); do
		run crtool restore -d -D "$to" --fail-at "$stage"
		[ "$status" -ne 0 ]
		[ "$(in_netns "$netns" nft list tables | wc -l)" = 1 ]
		[ "$(network)" = "$before" ] || explain "$stage: was $before, is $(network)"
		within 5 no_sockets
		tried=$((tried + 1))
	done
	[ "$tried" -ge 7 ]
	crtool restore -d -D "$to"
	whole
}

@test "the lock stays after a dump, is shown, and unlock removes it" {
	local to

	to=$(images)
	stream 10.9.0.1
	crtool dump -t "$pid" -D "$to" --tcp-established
	[ "$(in_netns "$netns" nft list tables)" = "table inet $(crtool show -D "$to" | grep -oE 'crtool-[0-9a-f]{16}')" ]
	crtool unlock -D "$to"
	netns_unlocked
	run crtool unlock -D "$to"
	[ "$status" -ne 0 ]
	[[ $output == *"network lock, crtool-"*"is not there"* ]]
	kill "$client"
}

@test "a connection is refused by default, naming the peer" {
	stream 10.9.0.1
	run -4 crtool dump -t "$pid" -D "$(images)"
	[[ $output == *"fd "*": socket:["*"connected to 10.9.0.2:"*"--tcp-established carries it, --tcp-close ends it"* ]]
	whole
}

@test "--tcp-close: both sides find the connection reset" {
	local to

	to=$(images)
	stream 10.9.0.1
	crtool dump -t "$pid" -D "$to" --tcp-close
	if wait "$client"; then explain "the client saw no error"; fi
	grep -q ConnectionResetError "$dir/err.client"
	crtool restore -d -D "$to"
	finish 20
	grep -qE 'ConnectionResetError|BrokenPipeError' "$dir/err"
	netns_unlocked
}

# killed_at N KILL: at its N-th system call of a dump; 0 -: never; how many there were is in $calls.
killed_at() {
	AT_LOG=$dir/at "${inside[@]}" timeout -s KILL 30 "$BUILD/test/fault/at" "$1" "$2" "$BUILD/crtool" dump -R \
		-t "$pid" -D "$(images)" --tcp-established >"$dir/said" 2>&1 3>&- 4>&- || true
	read -r _ calls _ <"$dir/at"
	calls=${calls%,}
}

# killed_in_repair N: at its N-th call of those that it makes while a connection is in repair mode; -1: never.
killed_in_repair() {
	rm -f "$dir/calls"
	ASAN_OPTIONS=verify_asan_link_order=0 LD_PRELOAD=$BUILD/test/fault/repair_preload REPAIR_KILL=$1 REPAIR_LOG=$dir/calls \
		"${inside[@]}" timeout -s KILL 30 "$BUILD/crtool" dump -R -t "$pid" -D "$(images)" --tcp-established \
		>"$dir/said" 2>&1 3>&- 4>&-
}

@test "crtool is killed in repair mode: who sends all the time never meets a socket in it" {
	local all n killed=0

	STREAM_FLOOD=yes stream 10.9.0.1
	killed_in_repair -1
	all=$(cat "$dir/calls")
	[ "$all" -gt 8 ] || explain "$all calls"
	for ((n = 0; n < 5 * all; n++)); do
		# With nothing in its queues there are fewer calls.
		killed_in_repair $((n % all)) || killed=$((killed + 1))
		running "$pid" || explain "it fails after call $((n % all))"
	done
	[ "$killed" -ge $((3 * all)) ] || explain "it was killed $killed times"
	whole
}

@test "crtool is killed at some of its system calls: nothing stays locked or in repair mode, the stream goes on" {
	local calls all n

	stream 10.9.0.1
	killed_at 0 -
	all=$calls
	[ "$all" -gt 100 ] || explain "$(cat "$dir/said" "$dir/at")"
	for ((n = all / 2 + RANDOM % 40; n < all; n += all / 24)); do
		killed_at "$n" KILL
		within 5 netns_unlocked >/dev/null || netns_unlocked
	done
	whole
}

@test "--tcp-map: the server's address has moved, and its client's system knows where" {
	local to

	to=$(images)
	stream 10.9.0.1
	crtool dump -t "$pid" -D "$to" --tcp-established
	in_netns "$netns" ip addr del 10.9.0.1/24 dev v1
	in_netns "$netns" ip addr add 10.9.0.3/24 dev v1
	in_netns "$outside" nft -f - <<-RULES || skip "no nft rules"
		table ip moved {
			chain out { type route hook output priority 0; ip daddr 10.9.0.1 ip daddr set 10.9.0.3; }
			chain in { type filter hook prerouting priority 0; ip saddr 10.9.0.3 ip saddr set 10.9.0.1; }
		}
	RULES
	run crtool restore -d -D "$to"
	[ "$status" -ne 0 ]
	[[ $output == *"10.9.0.1:7777 is no address of this machine"* ]]
	crtool restore -d -D "$to" --tcp-map 10.9.0.1=10.9.0.3
	within 10 established 10.9.0.3:7777
	whole
}

established() {
	in_netns "$netns" ss -Htn "src $1" | grep -q ESTAB
}

@test "--tcp-map: both ends in the tree, at another address and port" {
	local to

	to=$(images)
	busy=''
	park sk_tcp_conn mapped queued
	crtool dump -t "$pid" -D "$to" --tcp-established
	run -2 crtool restore -d -D "$to" --tcp-map 127.0.0.1=127.0.0.1:80
	[[ $output == *"--tcp-map 127.0.0.1=127.0.0.1:80: all ports cannot become one"* ]]
	run -2 crtool restore -d -D "$to" --tcp-map 127.0.0.1=::1
	run -2 crtool restore -d -D "$to" --tcp-map nonsense
	crtool restore -d -D "$to" --tcp-map 127.0.0.2=127.0.0.3 --tcp-map 127.0.0.1=127.0.0.5
	[ "$(in_netns "$netns" ss -Htn state established | grep -c 127.0.0.5)" = 2 ]
	release
	netns_unlocked
}

served_at() {
	in_netns "$outside" python3 -c 'import socket, sys
peer = socket.create_connection((sys.argv[1], int(sys.argv[2])), 20)
assert peer.recv(6) == b"served"' "$@"
}

@test "--tcp-map: listeners of IPv4, IPv6 and any address, at other addresses and ports" {
	fresh_dir
	start python3 -c 'import os, socket, time
places = (("10.9.0.1", 81), ("fd09::1", 82), ("0.0.0.0", 83))
socks = [socket.create_server(a, family=socket.AF_INET6 if ":" in a[0] else socket.AF_INET) for a in places]
open("parked", "w").close()
while not os.path.exists("enough"): time.sleep(0.02)
for s in socks:
	s.settimeout(20)
	s.accept()[0].sendall(b"served")'
	within 20 test -e "$dir/parked"
	dump
	in_netns "$netns" ip addr del 10.9.0.1/24 dev v1
	in_netns "$netns" ip addr add 10.9.0.3/24 dev v1
	crtool restore -d -D "$to" --tcp-map 10.9.0.1:81=10.9.0.3:91 --tcp-map '[fd09::1]:82=[fd09::1]:92' --tcp-map 0.0.0.0:83=0.0.0.0:93
	[ "$(in_netns "$netns" ss -Htln | awk '{ print $4 }' | LC_ALL=C sort | xargs)" = '0.0.0.0:93 10.9.0.3:91 [fd09::1]:92' ]
	touch "$dir/enough"
	served_at 10.9.0.3 91
	served_at fd09::1 92
	served_at 10.9.0.3 93
	finish 20
	[ ! -s "$dir/err" ] || explain "the server complains"
}

@test "a connection that exists already is not made again, and goes on" {
	local to

	to=$(images)
	stream 10.9.0.1
	crtool dump -R -t "$pid" -D "$to" --tcp-established
	run -8 crtool restore -d --new-pidns -D "$to"
	[[ $output == *"10.9.0.1:7777 is in use by"* ]]
	whole
}

# The other side does not answer.
@test "a connection that is being made is refused; --tcp-close: the program finds it reset" {
	in_netns "$outside" nft -f - <<-RULES || skip "no nft rules"
		table inet deaf {
			chain in { type filter hook input priority 0; tcp dport 7777 drop; }
		}
	RULES
	fresh_dir
	start python3 -c 'import errno, os, select, socket, time
s = socket.socket()
s.setblocking(False)
assert s.connect_ex(("10.9.0.2", 7777)) == errno.EINPROGRESS
open("parked", "w").close()
while not os.path.exists("enough"): time.sleep(0.02)
assert select.select([], [s], [], 20)[1]
print(errno.errorcode[s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)])'
	within 20 test -e "$dir/parked"
	run -4 crtool dump -t "$pid" -D "$(images)" --tcp-established
	[[ $output == *"fd 3: socket:["*"is being connected (SYN_SENT)"*"--tcp-close ends it"* ]]
	to=$(images)
	crtool dump -t "$pid" -D "$to" --tcp-close
	crtool restore -d -D "$to"
	touch "$dir/enough"
	finish 20
	[ "$(cat "$dir/out")" = ECONNRESET ]
}

@test "a listener with TCP_MD5SIG is refused by name" {
	fresh_dir
	start python3 -c 'import socket, struct, time
s = socket.socket()
s.bind(("10.9.0.1", 7777))
s.listen()
peer = struct.pack("=HH4s", socket.AF_INET, 0, socket.inet_aton("10.9.0.2")).ljust(128, b"\0")
try: s.setsockopt(socket.IPPROTO_TCP, 14, peer + struct.pack("=BBHi80s", 0, 0, 3, 0, b"key"))
except OSError: open("none", "w").close()
open("parked", "w").close()
time.sleep(1000)'
	within 20 test -e "$dir/parked"
	[ ! -e "$dir/none" ] || skip "no TCP_MD5SIG here"
	run -4 crtool dump -t "$pid" -D "$(images)" --tcp-established
	[[ $output == *"fd 3: socket:["*"TCP_MD5SIG"* ]]
	running "$pid"
	netns_unlocked
}

@test "without CAP_NET_ADMIN the lock is refused, and the stream goes on" {
	stream 10.9.0.1
	run "${inside[@]}" setpriv --bounding-set=-net_admin --inh-caps=-net_admin "$BUILD/crtool" dump -t "$pid" \
		-D "$(images)" --tcp-established 3>&- 4>&-
	[ "$status" -ne 0 ]
	[[ $output == *"lock the network: CAP_NET_ADMIN is needed in this network namespace"* ]]
	whole
}

@test "a kernel without nftables: that is said, and the stream goes on" {
	stream 10.9.0.1
	run "${inside[@]}" "$ROOT/test/zdtm/lib/without_nft" "$BUILD/crtool" dump -t "$pid" -D "$(images)" --tcp-established 3>&- 4>&-
	[ "$status" -ne 0 ]
	[[ $output == *"lock the network by nftables (CONFIG_NF_TABLES, CONFIG_NF_TABLES_INET; --tcp-close needs no lock)"* ]]
	whole
}

# The task itself is at home, its socket is not.
@test "a socket of another network namespace is refused by name" {
	fresh_dir
	start nsenter -t $$ -n python3 -c 'import ctypes, os, socket, sys, time
libc = ctypes.CDLL(None)
home = os.open("/proc/self/ns/net", os.O_RDONLY)
there = os.open("/proc/" + sys.argv[1] + "/ns/net", os.O_RDONLY)
assert libc.setns(there, 0) == 0
s = socket.socket()
s.bind(("127.0.0.1", 7777))
s.listen()
assert libc.setns(home, 0) == 0
os.close(home)
os.close(there)
open("parked", "w").close()
time.sleep(1000)' "$netns"
	within 20 test -e "$dir/parked"
	inside=()
	run -4 crtool dump -t "$pid" -D "$(images)" --tcp-established
	[[ $output == *"fd "*": socket:["*"is of another network namespace than crtool: run crtool in that one"* ]]
	running "$pid"
}
