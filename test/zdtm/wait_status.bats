load lib/zdtm

# Both in one: it is the same after dump -R, and after the restore.
both() {
	park wait_status "$1"
	dump_running
	dump_and_restore
	release
}

@test "a parent is told once that a child was stopped" { both stop; }

@test "a parent that knows it already is not told again" { both collected; }

@test "a parent is told which signal stopped a child" { both tstp; }

@test "a parent is told once that a child goes on" { both continued; }

@test "a parent that knows already that a child goes on is not told again" { both told; }

@test "the SIGCHLD of a stop still waits" { both pending; }

@test "a stopped child with threads" { both threads; }

@test "signals wait for a stopped child to go on" { both signals; }

@test "a stopped parent has to be told of its children" { both nested; }
