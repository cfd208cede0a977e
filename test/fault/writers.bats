# crtool is killed at each system call of a dump in which helpers write memory (dump/writers.h), or one of them fails: the
# target runs on, unharmed, and none of them is left.
load ../zdtm/lib/zdtm
load lib/points

setup() {
	# who lives on has no helpers
	dump_how=(--fail-at seal)
	dump_code=1
	victim=(memory_large)
	# most calls are those of any dump, which others look at
	fewer 2
}

@test "killed at any call while helpers write its memory" {
	points KILL
}

@test "terminated at any call while helpers write its memory" {
	fewer 2
	points TERM
}

@test "no memory, at any call of a dump in which helpers write" {
	points '=ENOMEM'
}

@test "no descriptors, at any call of a dump in which helpers write" {
	fewer 2
	points '=EMFILE'
}
