load lib/apps

@test "a pipeline of five processes in mid-stream" {
	begin() {
		start bash -c 'seq 1 3000000 | tee numbers | tr 1 2 | sed s/3/45/ | sha256sum'
		within 20 bytes numbers 2000000
	}
	carry dump_and_restore_twice dump_running
}

@test "a pipeline that waits: pipes full, pipes empty" {
	begin() {
		start bash -c 'seq 1 100000 | { until [ -e go ]; do sleep 0.02; done; cat; } | tac | cksum'
		within 20 children 3
		sleep 0.1
	}
	end() {
		touch "$dir/go"
		finish 20
	}
	carry dump_and_restore_twice dump_running
}

@test "bash with jobs in the background, traps, here-documents and a co-process" {
	begin() {
		start bash "$PROGRAMS/jobs.sh"
		within 20 lines out 4
	}
	carry dump_and_restore_twice dump_running
}

@test "xargs -P: many short processes" {
	begin() {
		start bash -c 'seq 1 300 | xargs -P 4 -n 1 sh -c "echo \$((\$1 * \$1)); sleep 0.01" -'
		within 20 lines out 40
	}
	results() {
		sort -n "$dir/out" | cksum
	}
	carry dump_and_restore_twice dump_running
}

@test "find, while it walks a tree" {
	begin() {
		start find /usr/share /usr/lib -type f -printf '%s %p\n'
		within 20 bytes out 100000
	}
	carry dump_and_restore dump_running
}

@test "bc in the middle of a long number" {
	needs bc
	echo 'scale=1500; for (i = 1; i < 6; i++) { 4 * a(1 / i); i }' >"$BATS_TEST_TMPDIR/sum.bc"
	begin() {
		start bc -lq "$BATS_TEST_TMPDIR/sum.bc"
		within 20 lines out 20
	}
	carry dump_and_restore dump_running
}
