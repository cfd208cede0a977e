load lib/apps

@test "node: the event loop, a worker thread, the thread pool, streams" {
	needs node
	begin() {
		start node "$PROGRAMS/busy.js"
		within 20 lines out 4
	}
	carry dump_and_restore_twice dump_running
}
