load lib/apps
load lib/load

# A server moves with its connections and its address from one network namespace to another, under load.

# Two places that have the same address; the clients, in $outside, reach the one that their route leads to: $netns at
# first, $there when it is turned.
places() {
	local first each

	netns_inside
	first=$netns
	netns_new
	there=$netns
	netns_new
	outside=$netns netns=$first
	for each in "$netns" "$there"; do
		in_netns "$each" ip link add v1 type veth peer name "v$each" netns "$outside" || skip "no veth devices here"
		in_netns "$each" ip addr add 10.9.0.1/32 dev v1
		in_netns "$each" ip link set v1 up
		in_netns "$each" ip route add 10.9.0.2 dev v1
		in_netns "$outside" ip link set "v$each" up
		in_netns "$outside" sysctl -qw "net.ipv4.conf.v$each.rp_filter=0"
	done
	in_netns "$outside" sysctl -qw net.ipv4.conf.all.rp_filter=0
	in_netns "$outside" ip addr add 10.9.0.2/32 dev lo
	turn "$netns"
	fresh_dir
}

turn() {
	in_netns "$outside" ip route replace 10.9.0.1 dev "v$1" src 10.9.0.2
}

# It runs in $there then.
migrate() {
	local old=$pid said

	said=$(crtool migrate --json -t "$pid" --tcp-established "$@" \
		--via "exec nsenter -t $there -n '$BUILD/crtool' receive --new-pidns --lazy --tcp-established -D '$BATS_TEST_TMPDIR'" 2>"$dir/told")
	gone "$old" || explain "it is still here"
	turn "$there"
	pid=$(sed 's/.*"pid":\([0-9]*\).*/\1/' <<<"$said")
	echo "# moved: $said" >&3
}

@test "redis with a gibibyte, fifty clients and a running benchmark moves" {
	needs redis-server redis-benchmark
	[ "$(awk '/MemAvailable/ { print $2 }' /proc/meminfo)" -gt 6000000 ] || skip "too little memory"
	places
	start redis-server --port 6379 --bind 10.9.0.1 --save '' --protected-mode no --loglevel warning --enable-debug-command yes
	within 20 listens 6379
	in_client redis-cli -h 10.9.0.1 debug populate 260000 page 4000 >/dev/null
	[ "$(awk '/VmRSS/ { print $2 }' "/proc/$pid/status")" -gt 1000000 ]
	start_client benchmark redis-benchmark -h 10.9.0.1 -l -q -c 10 -r 10000 -t set,get
	benchmark=$client
	clients redis 6379 50
	migrate
	seen=$(cat "$dir/client/answers")
	within 20 answers_since "$((seen + 20))" || explain "no answers after the move: $(cat "$dir/clients.err")"
	alive "$benchmark" || explain "the benchmark has ended: $(cat "$dir/benchmark.err")"
	kill "$benchmark"
	[ ! -s "$dir/benchmark.err" ] || explain "the benchmark complains: $(cat "$dir/benchmark.err")"
	[ "$(in_client redis-cli -h 10.9.0.1 get page:259999 | head -c 12)" = value:259999 ]
	touch "$dir/client/enough"
	wait "$client" || explain "the clients fail: $(cat "$dir/clients.err")"
	echo "# seen by the clients: $(cat "$dir/clients.out")" >&3
	table=$(sed -n 's/.*crtool unlock --table //p' "$dir/told")
	in_netns "$netns" nft list tables | grep -q "$table"
	crtool unlock --table "$table"
	netns_unlocked "$netns"
	netns_unlocked "$there"
	kill "$pid"
	finish 20
}

@test "redis moves under load, and what is left when rounds do not help moves when it runs there" {
	needs redis-server redis-benchmark
	places
	start redis-server --port 6379 --bind 10.9.0.1 --save '' --protected-mode no --loglevel warning --enable-debug-command yes
	within 20 listens 6379
	in_client redis-cli -h 10.9.0.1 debug populate 20000 page 4000 >/dev/null
	clients redis 6379 20
	migrate -v --post-copy --max-rounds 2 --downtime 1ms
	grep -q "what is left moves when it runs there" "$dir/told"
	seen=$(cat "$dir/client/answers")
	within 20 answers_since "$((seen + 20))" || explain "no answers after the move: $(cat "$dir/clients.err")"
	[ "$(in_client redis-cli -h 10.9.0.1 get page:19999 | head -c 11)" = value:19999 ]
	touch "$dir/client/enough"
	wait "$client" || explain "the clients fail: $(cat "$dir/clients.err")"
	all_is_there || explain "not all of it is there"
	kill "$pid"
	finish 20
}

@test "a move that fails leaves the connections here" {
	needs redis-server
	places
	start redis-server --port 6379 --bind 10.9.0.1 --save '' --protected-mode no --loglevel warning
	within 20 listens 6379
	clients redis 6379 20
	for stage in open run; do
		begun=$(now_us)
		run crtool migrate -t "$pid" --tcp-established \
			--via "exec nsenter -t $there -n '$BUILD/crtool' receive --new-pidns --tcp-established --fail-at $stage"
		[ "$status" -ne 0 ]
		was_gone $(($(now_us) - begun))
		seen=$(cat "$dir/client/answers")
		within 20 answers_since "$((seen + 20))" || explain "no answers: $(cat "$dir/clients.err")"
	done
	clients_end
	netns_unlocked "$there"
	kill "$pid"
	finish 20
}

teardown() {
	zdtm_teardown
	netns_gone
}
