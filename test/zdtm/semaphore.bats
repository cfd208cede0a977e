load lib/zdtm

# What was made anew has another inode number.
setup() {
	name=crtool-test-${BATS_RUN_TMPDIR##*-}
	dump_with=(--no-sync)
	accept='\(deleted\)|/dev/shm/sem' # glibc gives it its name by a link
}

teardown() {
	zdtm_teardown
	rm -f /dev/shm/*"$name"-*
}

@test "POSIX semaphores and shared memory, deleted or not, and who waits" { zdtm semaphore "$name"; }
