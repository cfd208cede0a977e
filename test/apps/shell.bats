load lib/apps

many_times() {
	local i

	for i in {1..5}; do
		dump_and_restore
		dump_running
		dump_running
	done
}

@test "a pipeline of five processes in mid-stream" {
	begin() {
		start bash -c 'seq 1 15000000 | tee numbers | tr 1 2 | sed s/3/45/ | sha256sum'
		within 20 bytes numbers 2000000
	}
	carry dump_and_restore_twice dump_running
}

@test "a pipeline that waits: pipes full, pipes empty" {
	begin() {
		start bash -c 'seq 1 100000 | { until [ -e go ]; do sleep 0.02; done; cat; } | sort -n | cksum'
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
	results() { # jobs may end in another order
		sort "$dir/out" | sha256sum
	}
	carry dump_and_restore_twice dump_running
}

@test "xargs -P: many short processes" {
	begin() {
		start bash -c 'seq 1 2000 | xargs -P 4 -n 1 sh -c "echo \$((\$1 * \$1)); sleep 0.01" -'
		within 20 lines out 40
	}
	results() {
		sort -n "$dir/out" | cksum
	}
	carry many_times
}

@test "a program that starts others all the time, many times" {
	begin() {
		start python3 "$PROGRAMS/spawn.py" 1500
		within 20 lines out 2
	}
	carry many_times
}

@test "find, while it walks a tree" {
	begin() {
		start find /usr/share -type f -printf '%s %p\n'
		within 20 bytes out 50000
	}
	carry dump_and_restore dump_running
}

@test "bc in the middle of a long number" {
	needs bc
	echo 'scale=1000; for (i = 1; i < 6; i++) { 4 * a(1 / i); i }' >"$BATS_TEST_TMPDIR/sum.bc"
	begin() {
		start bc -lq "$BATS_TEST_TMPDIR/sum.bc"
		within 20 lines out 20
	}
	carry dump_and_restore dump_running
}
