# Connections while crtool is killed, or fails, at each of its system calls: nothing stays locked or in repair mode, no option of
# a socket is changed, no address is taken, and both ends go on where they were.
load ../zdtm/lib/zdtm
load ../zdtm/lib/netns
load lib/points

setup() {
	# most calls are those of any dump, which others look at
	fewer 6
	netns_inside
	dump_with=(--tcp-established)
}

teardown() {
	zdtm_teardown
	netns_gone
}

left_behind() {
	within 5 netns_unlocked >/dev/null || netns_unlocked
}

# The lock of the dump stays until the restore, and no socket does.
aftermath() {
	[ -e "$dir/release" ] || within 5 no_socket || echo "leaves $(in_netns "$netns" ss -Htn state established)"
}

no_socket() {
	[ -z "$(in_netns "$netns" ss -Htn state established)" ]
}

@test "killed at any call of a dump, a connection goes on, its queues full" {
	victim=(zdtm/sk_tcp_conn 4 full)
	points KILL
}

@test "killed at any call of a dump, a connection with urgent data has it, and its options, as they were" {
	victim=(zdtm/sk_tcp_conn 4 urgent_long)
	points KILL
}

@test "killed at any call of a dump, a prefork server serves on, and all have their timers, memory and descriptors" {
	victim=(fault/prefork)
	points KILL
}

@test "no memory, at any call of a dump of a prefork server" {
	victim=(fault/prefork)
	points '=ENOMEM'
}

@test "SIGTERM at any call of a dump of a connection is a failure without a trace" {
	victim=(zdtm/sk_tcp_conn 4 queued)
	points TERM
}

@test "no memory, at any call of a dump of a connection" {
	victim=(zdtm/sk_tcp_conn 6 queued)
	points '=ENOMEM'
}

@test "killed at any call of a restore, of a connection nothing is left" {
	victim=(zdtm/sk_tcp_conn 4 urgent)
	restore_points KILL
}

# spoilt CALL N: the N-th such call of a dump fails for want of memory: it has no effect but that, maybe, there is no checkpoint.
spoilt() {
	local to

	park "${victim[@]}"
	to=$(images)
	run "${inside[@]}" strace -qq -o "$dir/calls" -e trace="$1" -e inject="$1:error=ENOMEM:when=$2" \
		"$BUILD/crtool" dump "${dump_with[@]}" -t "$pid" -D "$to" 3>&- 4>&-
	spoilt=$(grep INJECTED "$dir/calls" || true)
	[ "$status" != 0 ] || crtool restore -d -D "$to"
	release || explain "call $2 ($spoilt), status $status $output"
	within 5 netns_unlocked
}

@test "an option that cannot be set or put back at once: it is what it was, and what the checkpoint tells" {
	local n spoilt

	strace -V >/dev/null 2>&1 || skip "no strace"
	for victim in "zdtm/sk_tcp_conn 4 urgent_long" "zdtm/sk_tcp_conn 4 queued"; do
		read -ra victim <<<"$victim"
		spoilt=yes
		for ((n = 0; n < 60 && ${#spoilt}; )); do
			spoilt setsockopt $((++n))
		done
		((n > 4 && n < 60))
	done
}

@test "an option that cannot be read for want of memory is not taken for one that was never set" {
	local n spoilt tried=0

	strace -V >/dev/null 2>&1 || skip "no strace"
	victim=(zdtm/sk_tcp_conn 4 queued)
	spoilt getsockopt 60000 # none, to see them
	for n in $(grep -n SO_REUSEADDR "$dir/calls" | cut -d : -f 1); do
		spoilt getsockopt "$n"
		tried=$((tried + 1))
	done
	((tried > 1))
}
