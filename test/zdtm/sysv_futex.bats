load lib/zdtm
load lib/sysv

teardown() {
	sysv_teardown
	rm -f "/dev/shm/crtool-futex-$pid"
}

@test "who waits at a futex in shared memory goes on to wait, and is woken" {
	once sysv_futex
	park sysv_futex
	dump_running
	release
}
