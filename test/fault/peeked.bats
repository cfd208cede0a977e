# crtool is killed while it peeks at what waits in sockets.
load ../zdtm/lib/zdtm

@test "killed at any peek, sockets are what they were" {
	local when

	strace -V >/dev/null 2>&1 || skip "no strace"
	for when in 1 2 3 4; do
		park fault/peeked
		run strace -o /dev/null -e trace=recvmsg -e inject=recvmsg:signal=KILL:when="$when" \
			"$BUILD/crtool" dump -R -t "$pid" -D "$(images)" 3>&- 4>&-
		[ "$status" -eq 137 ]
		within 10 running "$pid"
		release
	done
}

# killed_while_changed N: at its N-th call of those that it makes while a socket passes credentials; -1: never.
killed_while_changed() {
	rm -f "$dir/calls"
	ASAN_OPTIONS=verify_asan_link_order=0 LD_PRELOAD=$BUILD/test/fault/repair_preload REPAIR_KILL=$1 REPAIR_LOG=$dir/calls \
		timeout -s KILL 30 "$BUILD/crtool" dump -R -t "$pid" -D "$(images)" >"$dir/said" 2>&1 3>&- 4>&-
}

@test "killed at any peek, a program that looks all the time never sees an option that is not its own" {
	local all n

	park fault/peeked always
	killed_while_changed -1
	all=$(cat "$dir/calls")
	[ "$all" -gt 4 ] || explain "$all calls"
	for ((n = 0; n < 4 * all; n++)); do
		killed_while_changed $((n % all)) || [ $? = 137 ]
		running "$pid" || explain "it fails after call $((n % all))"
	done
	release
}

@test "an option of a socket that cannot be changed or put back at once is what it was" {
	local n injected=yes

	strace -V >/dev/null 2>&1 || skip "no strace"
	for ((n = 1; n < 60 && ${#injected}; n++)); do
		park fault/peeked
		run strace -qq -o "$dir/calls" -e trace=setsockopt -e inject=setsockopt:error=ENOMEM:when="$n" \
			"$BUILD/crtool" dump -R -t "$pid" -D "$(images)" 3>&- 4>&-
		injected=$(grep INJECTED "$dir/calls" || true)
		release || explain "call $n: $injected"
	done
	((n > 6 && n < 60))
}
