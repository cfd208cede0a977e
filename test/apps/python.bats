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

@test "python: a pool of processes, temporary files, semaphores, shared values" {
	begin() {
		start python3 "$PROGRAMS/tempfiles.py"
		within 20 lines out 5
	}
	carry dump_and_restore_twice dump_running
}

@test "numpy: arrays in mapped files, one of them deleted" {
	/usr/bin/python3 -c 'import numpy' 2>/dev/null || skip "no numpy: scripts/install-deps apps"
	begin() {
		start /usr/bin/python3 "$PROGRAMS/memmap.py"
		within 20 lines out 5
	}
	carry dump_and_restore_twice dump_running
}

@test "numpy: arrays in five thousand mappings" {
	/usr/bin/python3 -c 'import numpy' 2>/dev/null || skip "no numpy: scripts/install-deps apps"
	begin() {
		start /usr/bin/python3 "$PROGRAMS/mappings.py"
		within 60 lines out 3
	}
	carry dump_and_restore_twice
}
