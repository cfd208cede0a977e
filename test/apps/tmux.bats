load lib/apps

# At rest: all that can be read of them is compared.
busy=''

# The server of tmux in the test's own directory.
ask_tmux() {
	tmux -S "$dir/tmux" "$@"
}

shows() {
	ask_tmux capture-pane -p | grep -qF -- "$1"
}

keys() {
	ask_tmux send-keys "$@"
}

# A program that ends may throw away what was typed before: typed again.
has_jobs() {
	keys 'jobs' Enter
	sleep 0.3
	shows 'Stopped                 sleep 1001' && shows 'Running                 sleep 1000'
}

# The shell of the first pane has its prompt and takes a job.
stops_job() {
	keys 'sleep 1001' Enter
	sleep 0.2
	keys C-z
	sleep 0.3
	shows 'Stopped '
}

@test "tmux, with bash in it: vim in the foreground, a job that is stopped and one in the background" {
	needs tmux
	needs vi
	fresh_dir
	unset TMUX
	export TERM=xterm HISTFILE=''
	start tmux -f /dev/null -S "$dir/tmux" new-session -d -x 80 -y 24 bash --norc --noprofile
	within 10 ask_tmux list-sessions
	pid=$(ask_tmux display -p '#{pid}')
	within 20 stops_job
	keys 'sleep 1000 &' Enter 'vi text' Enter
	within 20 shows '~'
	keys 'ihello'
	within 20 shows 'hello'

	dump_running
	dump_and_restore
	dump_and_restore

	within 20 shows 'hello'
	keys ' world' Escape ':wq' Enter
	within 20 grep -q '^hello world$' "$dir/text"
	within 20 has_jobs
	ask_tmux new-window bash --norc --noprofile
	keys 'echo on $((20 + 3))' Enter
	within 20 shows 'on 23'
	ask_tmux kill-server
	within 20 gone_or_zombie
}
