# A program that reads packets out of a ring that it shares with the kernel.
load lib/apps
load ../zdtm/lib/netns

setup() { netns_plain; }

listens() {
	in_netns "$netns" ss -Hl --packet 2>/dev/null | grep -q . && [ -s "$dir/cap" ]
}

# feed FROM TO: packets with these numbers.
feed() {
	in_netns "$netns" python3 -c '
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for i in range(int(sys.argv[1]), int(sys.argv[2])):
	s.sendto(b"packet %d;" % i, ("127.0.0.1", 9))' "$@"
}

caught() {
	tcpdump -r "$dir/cap" -A 2>/dev/null | grep -o 'packet [0-9]*;' | sort -u | wc -l
}

has_caught() {
	[ "$(caught)" = "$1" ]
}

# capture OPTION...: with a ring of blocks, or (--immediate-mode) of frames.
capture() {
	local n

	needs tcpdump
	fresh_dir
	start tcpdump -i lo -U -B 8192 -w cap "$@" udp port 9
	within 20 listens
	for n in 0 1 2; do
		feed "$((n * 40))" "$((n * 40 + 40))"
		within 20 has_caught "$((n * 40 + 40))" || explain "caught $(caught)"
		dump_and_restore
	done
	feed 120 160
	within 20 has_caught 160 || explain "caught $(caught)"
	dump_running
	feed 160 200
	within 20 has_caught 200 || explain "caught $(caught)"
	kill -INT "$pid"
	within 20 gone "$pid"
}

@test "tcpdump with a ring of blocks" { capture; }
@test "tcpdump with a ring of frames" { capture --immediate-mode; }
