load lib/apps
load lib/load

# A server moves with its connections and its address under load, from one place to another: each has a network, a mount
# and a pid namespace of its own.

# place: a new one; its first process is $netns.
place() {
	local holder

	unshare -nmp --fork --mount-proc --kill-child sleep 7200 </dev/null >/dev/null 2>&1 3>&- 4>&- &
	holder=$!
	disown "$holder"
	netns_pids+=("$holder")
	within 10 has_child "$holder"
	netns=$child
	within 10 in_place "$netns" grep -qx sleep /proc/1/comm
	in_netns "$netns" ip link set lo up
}

has_child() {
	child=$(cat "/proc/$1/task/$1/children" 2>/dev/null) && child=${child%% *} && [ "$child" ]
}

in_place() {
	nsenter -t "$1" -n -m -p "${@:2}"
}

# Two places that have the same address; the clients, in $outside, reach the one that their route leads to: $netns at
# first, $there when it is turned.
places() {
	local first each

	unshare -nmp --fork --mount-proc true 2>/dev/null || skip "no namespaces here"
	place
	first=$netns
	place
	there=$netns
	netns_new
	outside=$netns netns=$first
	in_netns "$netns" nft list tables >/dev/null 2>&1 || skip "no nftables here"
	inside=(nsenter -t "$netns" -n -m -p)
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
	way
}

turn() {
	in_netns "$outside" ip route replace 10.9.0.1 dev "v$1" src 10.9.0.2
}

# What is between the places, where others have ssh: what crtool says goes $dir/forth, what it hears comes $dir/back.
way() {
	mkfifo "$dir/forth" "$dir/back"
	cat >"$dir/way" <<-END
		#!/bin/sh
		cat "$dir/back" &
		cat >"$dir/forth"
		wait
	END
	chmod +x "$dir/way"
}

# start_here SERVER...: in $netns; $here is its pid there, which is to be free in the other place, too.
start_here() {
	in_place "$netns" sh -c 'echo 700 >/proc/sys/kernel/ns_last_pid'
	start setsid "$@"
	within 20 listens 6379
	within 5 has_child "$pid"
	pid=$child
	here=$(awk '/^NSpid/ { print $NF }' "/proc/$pid/status")
}

# migrate_with RECEIVER_OPTIONS -- OPTIONS
migrate_with() {
	local with=()

	while [ "$1" != -- ]; do
		with+=("$1")
		shift
	done
	in_place "$there" "$BUILD/crtool" receive "${with[@]}" <"$dir/forth" >"$dir/back" 2>"$dir/there.err" 3>&- 4>&- &
	crtool migrate -t "$here" --tcp-established --via "exec $dir/way" "${@:2}"
}

# It runs in $there then.
migrate() {
	local old=$pid said

	said=$(migrate_with --lazy --tcp-established -D "$BATS_TEST_TMPDIR" -- --json "$@" 2>"$dir/told") ||
		explain "it does not move: $(cat "$dir/told" "$dir/there.err")"
	gone "$old" || explain "it is still here"
	turn "$there"
	[ "$(sed 's/.*"pid":\([0-9]*\).*/\1/' <<<"$said")" = "$here" ]
	within 5 has_moved
	echo "# moved: $said" >&3
}

# Who is $here in $there is $pid.
has_moved() {
	local one

	for one in $(grep -lsP "^NSpid:\t\d+\t$here\$" /proc/[0-9]*/status); do
		pid=${one//[!0-9]/}
		[ "$(readlink "/proc/$pid/ns/pid")" != "$(readlink "/proc/$there/ns/pid")" ] || return 0
	done
	return 1
}

@test "redis with a gibibyte, fifty clients and a running benchmark moves" {
	needs redis-server redis-benchmark
	[ "$(awk '/MemAvailable/ { print $2 }' /proc/meminfo)" -gt 6000000 ] || skip "too little memory"
	places
	start_here redis-server --port 6379 --bind 10.9.0.1 --save '' --protected-mode no --loglevel warning --enable-debug-command yes
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
	start_here redis-server --port 6379 --bind 10.9.0.1 --save '' --protected-mode no --loglevel warning --enable-debug-command yes
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
	start_here redis-server --port 6379 --bind 10.9.0.1 --save '' --protected-mode no --loglevel warning
	clients redis 6379 20
	for stage in open run; do
		begun=$(now_us)
		run migrate_with --tcp-established --fail-at "$stage" --
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
