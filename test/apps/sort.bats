load lib/apps

setup_file() {
	seq 1 4000000 >"$BATS_FILE_TMPDIR/data"
}

# Its temporary files are made in $dir.
has_temporary_files() {
	compgen -G "$dir/sort*" >/dev/null
}

@test "sort with threads in memory" {
	has_threads() {
		[ "$(compgen -G "/proc/$pid/task/*" | wc -l)" -ge "$1" ]
	}
	begin() {
		start sort --parallel=4 -S400M -r "$BATS_FILE_TMPDIR/data"
		within 60 has_threads 2
	}
	carry dump_and_restore dump_running
}

@test "sort while it writes temporary files" {
	begin() {
		start sort -T. --parallel=2 -S8M -r "$BATS_FILE_TMPDIR/data"
		within 60 has_temporary_files
	}
	carry dump_and_restore_twice dump_running
}

@test "sort while it merges temporary files" {
	begin() {
		local data=$BATS_FILE_TMPDIR/data

		start sort -T. --parallel=2 -S8M -r "$data" "$data" "$data"
		within 60 bytes out 400000
	}
	carry dump_and_restore dump_running
}

@test "sort with compressed temporary files: gzip as its child" {
	begin() {
		start sort -T. --compress-program=gzip --parallel=2 -S8M -r "$BATS_FILE_TMPDIR/less"
		within 60 children 1
	}
	head -n 1500000 "$BATS_FILE_TMPDIR/data" >"$BATS_FILE_TMPDIR/less"
	carry dump_and_restore_twice dump_running
}

@test "sort of 205 MB, with temporary files" {
	seq 1 24000000 >"$BATS_FILE_TMPDIR/lots"
	begin() {
		start env LC_ALL=C sort -T. --parallel=2 -S100M -r "$BATS_FILE_TMPDIR/lots"
		within 60 has_temporary_files
	}
	end() { finish 300; }
	carry dump_and_restore
	[ "$(wc -c <"$dir/out")" -ge 200000000 ]
}
