# SIGTERM and its like end crtool cleanly: everything is undone, the target runs on.
load ../zdtm/lib/zdtm
load lib/points
load lib/refuse

setup() {
	fewer 2
}

@test "SIGTERM at any call of a dump is a failure without a trace" {
	victim=(fault/steady compute)
	points TERM
}

@test "SIGINT at any call of a dump of threads is a failure without a trace" {
	victim=(fault/steady mix 3)
	points INT
}

