load lib/apps

@test "python: multiprocessing with shared memory, values, locks, semaphores and a queue" {
	begin() {
		start python3 "$PROGRAMS/shared.py"
		within 20 lines out 1 && within 20 children 4
	}
	results() {
		cat "$dir/out"
	}
	carry dump_and_restore_twice dump_running
}
