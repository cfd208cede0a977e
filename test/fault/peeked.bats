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
