load lib/zdtm
load lib/netns

setup() {
	netns_plain
	accept='/#[0-9]+ .deleted.' # a file of O_TMPFILE is made anew, its name is its inode number
}

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
	netns_gone
	# The queue of one that failed; the file system may be mounted nowhere.
	unshare -m sh -c "mount -t mqueue none /mnt && rm -f /mnt/crtool-zoo-$pid-*" || true
}
