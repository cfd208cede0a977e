load lib/apps

# At rest: all that can be read of them is compared.
busy=''

# gdb in a tmux of the test's own, as a user has it.
ask_tmux() {
	tmux -S "$dir/tmux" "$@"
}

shows() {
	ask_tmux capture-pane -p | grep -qF -- "$1"
}

types() {
	ask_tmux send-keys "$*" Enter
}

# session PROGRAM [args]: gdb has it, and waits for commands; the tree is that of tmux.
session() {
	needs tmux
	needs gdb
	fresh_dir
	unset TMUX
	export TERM=xterm HISTFILE='' DEBUGINFOD_URLS=''
	start tmux -f /dev/null -S "$dir/tmux" new-session -d -x 100 -y 40 \
		gdb -nx -q -ex 'set confirm off' -ex 'set pagination off' --args "$@"
	within 10 ask_tmux list-sessions
	pid=$(ask_tmux display -p '#{pid}')
	within 30 shows '(gdb)'
}

ends() {
	types quit
	within 20 gone_or_zombie
}

@test "gdb in the middle of a session: a breakpoint that was hit, and what comes after it" {
	session "$BUILD/test/zdtm/park"
	types 'break zdtm_released'
	within 20 shows 'Breakpoint 1 at'
	types run
	within 30 shows 'Breakpoint 1, zdtm_released'
	types 'print $mark = 41'
	within 20 shows '$1 = 41'

	dump_running
	dump_and_restore
	types 'print $mark + 1'
	within 20 shows '$2 = 42'
	dump_and_restore

	types backtrace
	within 20 shows 'in main'
	types next
	within 20 shows '(gdb) next'
	types 'clear zdtm_released'
	within 20 shows 'Deleted breakpoint'
	touch "$dir/release"
	types continue
	within 30 shows 'exited normally'
	[ "$(cat "$dir/result")" = pass ]
	ends
}

@test "gdb with a program of several threads, stopped by hand" {
	session "$BUILD/test/fault/steady" sleep 3
	types run
	within 30 test -e "$dir/parked"
	ask_tmux send-keys C-c
	within 30 shows 'received signal SIGINT'

	dump_running
	dump_and_restore
	dump_and_restore

	types 'info threads'
	within 20 shows '* 1 '
	types 'thread apply all backtrace 1'
	within 20 shows 'Thread 1 '
	types 'break zdtm_released'
	within 20 shows 'Breakpoint 1 at'
	types 'continue'
	within 30 shows 'hit Breakpoint 1'
	types 'kill'
	ends
}

@test "gdb while its program runs" {
	session "$BUILD/test/fault/steady" sleep 3
	types run
	within 30 test -e "$dir/parked"

	dump_running
	dump_and_restore
	dump_and_restore

	ask_tmux send-keys C-c
	within 30 shows 'received signal SIGINT'
	types 'info threads'
	within 20 shows '* 1 '
	types 'kill'
	ends
}
