# What the network sees of a tree with connections: nothing from the freeze to the commit, and never a reset.
load lib/zdtm
load lib/netns

ECHO=$ROOT/test/zdtm/lib/echo.py

setup() {
	netns_inside
	netns_pair
	dump_with=(--tcp-established)
	busy=yes
}

# outside COMMAND...: in the other namespace and in $dir, as $!.
outside() {
	(cd "$dir" && exec nsenter -t "$outside" -n "$@" 3>&- 4>&-) &
}

# talking ADDRESS: a server, $pid, whose client, $client, sends all the time; what the server's system sends is captured.
talking() {
	fresh_dir
	start python3 "$ECHO" serve "$1"
	within 20 test -e "$dir/parked"
	outside python3 "$ECHO" capture v2
	capture=$!
	within 20 test -e "$dir/captures"
	outside python3 "$ECHO" ask "$1" >"$dir/client.out" 2>"$dir/client.err"
	client=$!
	within 20 test -e "$dir/begun"
}

# Packets that were captured from time $1 to time $2.
captured() {
	awk -v from="$1" -v to="$2" '$1 >= from && $1 <= to' "$dir/captured"
}

retransmitted() {
	in_netns "$outside" ss -Htni state established | grep -q 'retrans:[0-9]*/[1-9]'
}

asked() {
	in_netns "$outside" ss -Htn state syn-sent | grep -q 7777
}

nobody_noticed() {
	touch "$dir/enough.asking"
	wait "$client" || explain "the client failed: $(cat "$dir/client.err")"
	[ "$(cat "$dir/client.out")" -gt 10 ]
	touch "$dir/enough"
	finish 20
	kill "$capture"
	# RST is 4
	! awk 'int($2 / 4) % 2' "$dir/captured" | grep . || explain "somebody was reset"
	netns_unlocked
}

# silent ADDRESS: while the tree is gone, and its client and somebody new keep asking.
silent() {
	local from to_time late

	talking "$1"
	[ "$(captured 0 "$(date +%s.%N)" | wc -l)" -gt 0 ]
	dump "${dump_with[@]}"
	from=$(date +%s.%N)
	outside python3 -c 'import socket, sys
peer = socket.create_connection((sys.argv[1], 7777), 30)
peer.sendall(b"late")
assert peer.recv(4) == b"late"' "$1" 2>"$dir/late.err"
	late=$!
	within 20 retransmitted || explain "the client does not try again"
	within 20 asked
	to_time=$(date +%s.%N)
	[ -z "$(captured "$from" "$to_time")" ] || explain "an answer: $(captured "$from" "$to_time")"
	crtool restore -d -D "$to"
	wait "$late" || explain "who asked meanwhile: $(cat "$dir/late.err")"
	nobody_noticed
}

@test "while the tree is gone no packet is answered, and none is reset: IPv4" { silent 10.9.0.1; }
@test "while the tree is gone no packet is answered, and none is reset: IPv6" { silent fd09::1; }

@test "dumped by -R, and three times in a row, nobody is reset" {
	talking 10.9.0.1
	dump_running
	dump_and_restore
	dump_and_restore
	dump_and_restore
	nobody_noticed
}

@test "a dump that fails, and one that is killed, reset nobody" {
	local stage

	talking 10.9.0.1
	for stage in freeze take files resume; do
		run crtool dump -t "$pid" -D "$(images)" --tcp-established --fail-at "$stage"
		[ "$status" -ne 0 ]
	done
	run "${inside[@]}" timeout -s KILL 0.02 "$BUILD/crtool" dump -R -t "$pid" -D "$(images)" --tcp-established 3>&- 4>&-
	nobody_noticed
}
