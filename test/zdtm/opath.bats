load lib/zdtm

@test "what is open with O_PATH and has no name: pipes and sockets, beside a fifo that has one" { zdtm opath; }

teardown() {
	zdtm_teardown
	[ -z "${writer-}" ] || kill "$writer"
}

@test "a pipe that is open with O_PATH, and otherwise outside of the tree alone, is refused by name" {
	exec 8< <(exec sleep 1000 3>&- 4>&-)
	writer=$!
	fresh_dir
	(
		cd "$dir" || exit 1
		exec <&8 >>out 2>>err
		for fd in /proc/self/fd/*; do
			fd=${fd##*/}
			[ "$fd" -lt 3 ] || eval "exec $fd>&-"
		done
		exec setsid "$BUILD/test/zdtm/opath" outside
	) &
	pid=$!
	disown "$pid"
	exec 8<&-
	within 20 parked_or_gone
	run -4 crtool dump -t "$pid" -D "$(images)"
	[[ $output == *"task $pid (opath): fd 3: pipe:["*"] (fifo, open with O_PATH): is open otherwise outside of the tree alone, in task $writer (sleep)"*"--on-unknown-fd=null or =close"* ]]
	running "$pid"
	dump_with=(--on-unknown-fd null)
	dump_running
	release
}
