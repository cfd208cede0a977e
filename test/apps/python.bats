load lib/apps

@test "python: threads, a generator, open files, a timer and its handler" {
	begin() {
		start python3 "$PROGRAMS/mixed.py"
		within 20 lines out 5
	}
	carry dump_and_restore_twice dump_running
}

@test "python: asyncio with sub-processes" {
	begin() {
		start python3 "$PROGRAMS/async.py"
		within 20 lines out 1 && within 20 children 2
	}
	carry dump_and_restore_twice dump_running
}
