# crtool is killed at each system call of a dump: the target runs on, unharmed.
load ../zdtm/lib/zdtm
load lib/points

@test "killed at any call, a thread that computes runs on" {
	victim=(fault/steady compute)
	points KILL
}

@test "killed at any call, a thread that sleeps runs on" {
	victim=(fault/steady sleep)
	points KILL
}

@test "killed at any call, a thread in a long sleep runs on" {
	victim=(fault/steady sleep-long)
	points KILL
}

@test "killed at any call, a thread that handles signals on an alternate stack runs on" {
	victim=(fault/steady handle)
	points KILL
}

@test "killed at any call, five threads run on" {
	victim=(fault/steady mix 5)
	points KILL
}

@test "killed at any call, a tree runs on" {
	victim=(fault/family)
	points KILL
}

@test "killed at any call, a task whose Landlock layers are counted runs on" {
	"$BUILD/test/zdtm/landlock" --probe 3>&- 2>/dev/null || skip "no Landlock"
	victim=(landlock 0)
	points KILL
}
