load lib/zdtm

# Running on and restored, in one go.
carried() {
	park ptmx "$1"
	dump_running
	dump_and_restore
	release
}

@test "a pseudo terminal keeps its modes, locks, size, owner and number" { zdtm ptmx modes; }
@test "a terminal with nothing unread is as good as new" { carried idle; }
@test "unread lines, ends of file and a line that is not ended yet" { zdtm ptmx lines; }
@test "unread bytes of a raw terminal, in both directions" { carried raw; }
@test "more unread bytes than the line discipline holds" { carried full; }
@test "output that a program has stopped" { carried stopped; }
@test "output that Ctrl-S has stopped" { carried ctrl-s; }
@test "a master whose other side was never opened" { carried unused; }
@test "a master whose other side is closed" { carried slave-closed; }
@test "terminals whose master is closed" { carried master-closed; }
@test "terminals that were hung up beside one that was not" { carried hang-up; }
@test "numbers that are not the lowest free ones" { carried number; }
