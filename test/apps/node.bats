load lib/apps
load ../zdtm/lib/ring

@test "node: the event loop, a worker thread, the thread pool, streams" {
	needs node
	begin() {
		start node "$PROGRAMS/busy.js"
		within 20 lines out 4
	}
	carry dump_and_restore_twice dump_running
}

# Its rings come with its first work on files; the thread of the kernel that polls them is not one of ours to compare.
@test "node: files and epoll by rings (io_uring), one of which a thread of the kernel polls" {
	needs node
	has_io_uring || skip "no io_uring here"
	begin() {
		start env UV_USE_IO_URING=1 node "$PROGRAMS/busy.js"
		within 20 lines out 4
	}
	fresh_dir
	begin
	[[ $(readlink "/proc/$pid/fd/"*) == *io_uring* ]] || skip "this node does without"
	end
	carry dump_and_restore_twice dump_running
}
