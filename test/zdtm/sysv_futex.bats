load lib/zdtm
load lib/sysv

setup() {
	name=crtool-futex-${BATS_RUN_TMPDIR##*-}
}

teardown() {
	sysv_teardown
	rm -f /dev/shm/"$name"-*
}

@test "who waits at a futex in shared memory goes on to wait, and is woken" {
	once sysv_futex "$name"
	park sysv_futex "$name"
	dump_running
	release
}
