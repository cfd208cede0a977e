load lib/apps

# Numbers compress at a pace that leaves time; 30,000,000 of them are 259 MB.
setup_file() {
	seq 1 30000000 >"$BATS_FILE_TMPDIR/data"
	head -c 60000000 "$BATS_FILE_TMPDIR/data" >"$BATS_FILE_TMPDIR/less"
}

@test "gzip in the middle of 259 MB" {
	begin() {
		start gzip -1 -c "$BATS_FILE_TMPDIR/data"
		within 20 bytes out 20000000
	}
	carry dump_and_restore_twice dump_running
	gzip -dc "$dir/out" | cmp - "$BATS_FILE_TMPDIR/data"
}

@test "xz -T2 with its threads" {
	needs xz
	begin() {
		start xz -1 -T2 --block-size=8MiB -c "$BATS_FILE_TMPDIR/less"
		within 20 bytes out 300000
	}
	carry dump_and_restore_twice dump_running
	xz -dc "$dir/out" | cmp - "$BATS_FILE_TMPDIR/less"
}

@test "xz -T2 in the middle of 259 MB" {
	needs xz
	begin() {
		start xz -0 -T2 --block-size=8MiB -c "$BATS_FILE_TMPDIR/data"
		within 60 bytes out 300000
	}
	end() { finish 300; }
	carry dump_and_restore
	xz -dc "$dir/out" | cmp - "$BATS_FILE_TMPDIR/data"
}

@test "xz -d in the middle of its output" {
	needs xz
	xz -0 -T2 -c "$BATS_FILE_TMPDIR/less" >"$BATS_FILE_TMPDIR/less.xz"
	begin() {
		start xz -dc "$BATS_FILE_TMPDIR/less.xz"
		within 20 bytes out 5000000
	}
	carry dump_and_restore dump_running
	cmp "$dir/out" "$BATS_FILE_TMPDIR/less"
}
