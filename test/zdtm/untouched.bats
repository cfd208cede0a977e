load lib/zdtm

# All that can be read of a task and that must be the same after a dump -R.
snapshot() {
	local tid

	cat "/proc/$pid/maps"
	for tid in /proc/"$pid"/task/*; do
		grep -E '^(Name|Umask|State|TracerPid|Sig|Shd|Cap|NoNewPrivs|Seccomp|Threads)' "$tid/status" |
			grep -v '^State:.*running' | grep -v '^SigQ'
	done
	ls -l "/proc/$pid/fd" | awk 'NR > 1 { print $9, $10, $11 }'
}

# untouched STATE: two dumps -R, with the same picture before and after; then it is restored.
untouched() {
	local before

	park untouched "$1"
	before=$(snapshot | sed '/^State/d')
	dump_running
	dump_running
	within 5 running "$pid"
	diff <(echo "$before") <(snapshot | sed '/^State/d')
	dump_and_restore
	release
}

@test "a thread in compute is left as it was" { untouched compute; }
@test "a thread in nanosleep is left as it was" { untouched nanosleep; }
@test "a thread in poll is left as it was" { untouched poll; }
@test "a thread in futex is left as it was" { untouched futex; }
@test "a thread in epoll_wait is left as it was" { untouched epoll_wait; }
@test "a thread in read is left as it was" { untouched read; }
@test "a thread in wait4 is left as it was" { untouched wait4; }
@test "a thread in handler is left as it was" { untouched handler; }
@test "a thread in seccomp is left as it was" { untouched seccomp; }
