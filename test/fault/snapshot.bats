# crtool is killed at each system call of a dump that makes a snapshot, or one of them fails: the target runs on, unharmed.
load ../zdtm/lib/zdtm
load lib/points

setup() {
	dump_with=(--snapshot)
	# most calls are those of any dump, which others look at
	((FAULT_STEP == 1)) || FAULT_STEP=$((FAULT_STEP * 3))
}

@test "killed at any call, threads of which a snapshot is made run on" {
	victim=(fault/steady mix 5)
	points KILL
}

@test "killed at any call, a tree of which snapshots are made runs on" {
	victim=(fault/family)
	points KILL
}

@test "no memory, at any call of a dump that makes a snapshot" {
	victim=(fault/steady compute)
	points '=ENOMEM'
}
