load lib/zdtm

@test "the file of a socket of the tree, open by O_PATH, is that of the new socket" {
	zdtm sk_unix_path
	zdtm sk_unix_path relative
}

teardown() {
	zdtm_teardown
	rm -f "/tmp/crtool-sk_unix_path-$pid"
}
