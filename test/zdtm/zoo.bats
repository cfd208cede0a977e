load lib/zdtm

@test "one of each kind of open file, dumped and restored ten times in a row" {
	park zoo
	for _ in {1..10}; do
		dump_and_restore
	done
	release
}

@test "one of each kind of open file, dumped while it runs on" {
	park zoo
	dump_running
	release
}

teardown() {
	zdtm_teardown
	rm -f /dev/mqueue/crtool-zoo-"$pid"
}
