# crtool is killed at each system call of a dump that begins to track memory: the target runs on, unharmed.
load ../zdtm/lib/zdtm
load lib/points

setup() {
	dump_with=(--track-mem)
	# most calls are those of any dump, which others look at
	fewer 5
}

@test "killed at any call, a tree whose memory is to be tracked runs on" {
	victim=(fault/family)
	points KILL
}
