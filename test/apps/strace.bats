load lib/apps

# What differs from run to run besides.
differs='^$'

# What strace has written, without what differs from run to run: numbers of processes, addresses, times.
# Two processes may have had the same number, one after the other.
calls_seen() {
	local file

	awk 'FNR == 1 { n = 0 } { print >(FILENAME "-" n) } /^\+\+\+ / { close(FILENAME "-" n++) }' "$dir"/log.*
	for file in "$dir"/log.*-*; do
		grep -hoE '^[a-z_0-9]+\(|^\+\+\+ .*|^--- SIG[A-Z]+|ERESTART[A-Z]*|EINTR' "$file" | grep -vE "$differs" | sort | uniq -c | tr -s ' \n' ' '
		echo
	done | sort
}

results() {
	calls_seen
	cat "$dir/out"
}

trace() {
	start strace -ff -A -o "$dir/log" "$@"
}

@test "strace -f of a shell, its loop and its children: each call is seen once" {
	needs strace
	# A SIGCHLD that comes while all stand still finds the shell at its read(2) of what the child wrote, which it
	# makes again: its handler asks for that (without SA_RESTART).
	differs='^read\(|ERESTART|EINTR'
	begin() {
		# shellcheck disable=SC2016 # for that shell
		trace sh -c 'i=0; while [ $i -lt 40 ]; do i=$((i+1)); echo $(expr $i + 1); /bin/sleep 0.02; done'
		within 20 lines out 5
	}
	carry dump_running dump_and_restore dump_and_restore_twice
}

# It has one child, which opens the fifo (openat(2)).
waits_in_open() {
	local child

	read -r child _ <"/proc/$pid/task/$pid/children"
	grep -qs '^257 ' "/proc/$child/syscall"
}

@test "strace of a program that waits: it is told of the end of that call alone" {
	needs strace
	fresh_dir
	mkfifo "$dir/fifo"
	trace sh -c 'read -r line <fifo; echo "$line"'
	within 20 waits_in_open
	dump_running
	dump_and_restore
	dump_and_restore
	echo through >"$dir/fifo"
	finish 20
	[ "$(cat "$dir/out")" = through ]
	run -1 grep -E 'ERESTART|EINTR' "$dir"/log.*
	[ "$(grep -c 'openat.*fifo' "$dir"/log.*)" = 1 ]
	[ ! -s "$dir/err" ]
}

@test "strace -p of a program that sleeps, which it has interrupted: it sleeps on" {
	needs strace
	fresh_dir
	# shellcheck disable=SC2016 # for that shell, which waits for the call (clock_nanosleep(2)) first
	start sh -c 'sleep 5 & until grep -q "^230 " /proc/$!/syscall; do :; done; strace -o log -p $!; wait $!; echo "$?"'
	within 20 grep -qs restart_syscall "$dir/log"
	dump_running
	run -0 crtool dump -R -t "$pid" -D "$(images)"
	[[ $output != *"not carried"* ]]
	dump_and_restore
	finish 20
	[ "$(cat "$dir/out")" = 0 ]
	run -1 grep EINTR "$dir/log"
}
