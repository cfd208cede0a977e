# crtool is killed at each system call of a dump: the target runs on, unharmed.
load ../zdtm/lib/zdtm
load lib/points

setup() {
	fewer 2
}

@test "killed at any call, a thread that computes runs on" {
	victim=(fault/steady compute)
	points KILL
}

@test "killed at any call, a thread that sleeps runs on" {
	victim=(fault/steady sleep)
	points KILL
}

@test "killed at any call, a thread in a long sleep runs on" {
	victim=(fault/steady sleep-long)
	points KILL
}

@test "killed at any call, a thread that handles signals on an alternate stack runs on" {
	victim=(fault/steady handle)
	points KILL
}

@test "killed at any call, five threads run on" {
	victim=(fault/steady mix 5)
	points KILL
}

@test "killed at any call of one of its hands, fifty threads sleep on" {
	fewer 32
	victim=(fault/steady sleep 50)
	points KILL
}

@test "killed at any call, a tree runs on" {
	victim=(fault/family)
	points KILL
}

@test "killed at any call, a task whose Landlock layers are counted runs on" {
	"$BUILD/test/zdtm/landlock" --probe 3>&- 2>/dev/null || skip "no Landlock"
	victim=(landlock 0)
	points KILL
}

@test "killed at any call, a debugger has its tracee as it was" {
	fewer 32
	victim=(ptrace traceme plain)
	points KILL
}

@test "killed at any call, a debugger has still to be told of the stop" {
	fewer 32
	victim=(ptrace seize untold)
	points KILL
}

@test "killed at any call, a tracer of system calls sees each once" {
	FAULT_STEP=$((FAULT_STEP * 24))
	victim=(ptrace_calls)
	points KILL
}

@test "killed at any call, a tracer has its tracee at the entry of a system call, or at its end" {
	FAULT_STEP=$((FAULT_STEP * 24))
	victim=(ptrace_calls entry untold)
	points KILL
	rm -r "$BATS_TEST_TMPDIR/count"
	victim=(ptrace_calls exit)
	points KILL
}

@test "killed between the registers and the mask of a thread, no signal of ours stays" {
	local n

	for ((n = 0; n < 30; n++)); do
		park fault/blocks
		run env REGS_KILL="$n" ASAN_OPTIONS=verify_asan_link_order=0 LD_PRELOAD="$BUILD/test/fault/regs_preload" \
			"$BUILD/crtool" dump -R -t "$pid" -D "$(images)" 3>&- 4>&-
		within 20 running "$pid"
		within 20 untraced
		release
		[ "$status" != 0 ] || break
	done
	((n > 2 && n < 30))
}

# Most calls look for others who have the queue open: only those that drive the task are taken here.
@test "killed at any ptrace(2), a program that waits for a notification of a message runs on, still registered" {
	local n to

	for ((n = 5; n < 60; n += 2)); do
		park mq_notify realtime full
		to=$(images)
		run strace -f -qq -o /dev/null -e trace=ptrace -e inject=ptrace:signal=KILL:when="$n" \
			"$BUILD/crtool" dump -R -t "$pid" -D "$to" 3>&- 4>&-
		within 20 running "$pid"
		within 20 untraced
		release
		[ "$status" != 0 ] || break
	done
	((n > 20 && n < 60))
}

untraced() {
	grep -q '^TracerPid:.0$' "/proc/$pid/status" && ! grep -q "r-xp 00000000 00:00 0 *$" "/proc/$pid/maps"
}
