load lib/zdtm

# PR_TIMER_CREATE_RESTORE_IDS (Linux 6.15)
can_choose_ids() {
	python3 -c 'import ctypes, sys; sys.exit(ctypes.CDLL(None).prctl(77, 2, 0, 0, 0) < 0)'
}

@test "POSIX timers keep id, clock, notification and what was left" {
	# The leader names the clock of another thread in another way.
	can_choose_ids || accept='timers.ClockID'
	zdtm timer
}

# Before Linux 6.15.
@test "also where nobody can choose the ids of timers" {
	for many in "" many; do
		to=$(images)
		park timer $many
		crtool dump -t "$pid" -D "$to"
		within 5 gone "$pid"
		old crtool restore -d -D "$to"
		release
	done
}

reads_kernel() {
	crtool dump -R -t "$1" -D "$(images)" 2>&1 | { ! grep "while its signal waits"; }
}

@test "how often timers have expired while their signals wait is kept" {
	park timer overrun
	reads_kernel "$pid" || skip "nobody may read the memory of the kernel here"
	release
	zdtm timer overrun
}

@test "where the kernel does not tell how often, it is listed" {
	park timer overrun
	run -0 blind_crtool dump -R -t "$pid" -D "$(images)"
	[[ $output == *"not carried: task $pid (timer): POSIX timer "*": how often it has expired while its signal waits"* ]]
	[ "$(grep -c "while its signal waits" <<<"$output")" = 2 ]
	release
}

@test "a timer that counts the CPU time of an unknown thread is refused by name" {
	park timer unknown
	run crtool dump -t "$pid" -D "$(images)"
	[ "$status" -ne 0 ]
	[[ $output == *"POSIX timer "*" counts the CPU time of a thread"* ]]
	running "$pid"
	release
}
