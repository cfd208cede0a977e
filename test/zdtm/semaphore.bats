load lib/zdtm

# What was made anew has another inode number.
setup() {
	dump_with=(--no-sync)
	accept='\(deleted\)|/dev/shm/sem' # glibc gives it its name by a link
}

teardown() {
	zdtm_teardown
	[ -z "$pid" ] || rm -f "/dev/shm/"*crtool-test-"$pid"-*
}

@test "POSIX semaphores and shared memory, deleted or not, and who waits" { zdtm semaphore; }
