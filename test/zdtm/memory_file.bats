load lib/zdtm

@test "private file mappings keep their changes, shared ones stay the file" { zdtm memory_file; }

@test "to be dumped leaves no trace in the access time of a program" {
	cp "$BUILD/test/zdtm/limit" "$BATS_TEST_TMPDIR/copy"
	fresh_dir
	start "$BATS_TEST_TMPDIR/copy"
	within 20 parked_or_gone
	touch -a -d 2001-02-03 "$BATS_TEST_TMPDIR/copy"
	crtool dump -R -t "$pid" -D "$(images)"
	[ "$(stat -c %x "$BATS_TEST_TMPDIR/copy" | cut -d' ' -f1)" = 2001-02-03 ]
	release
}
