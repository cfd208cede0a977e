load lib/zdtm

@test "three generations of processes" {
	zdtm tree plain
}

@test "process groups, also one whose leader is gone" {
	zdtm tree groups
}

@test "sessions, entered before and after forks" {
	zdtm tree sessions
}

@test "daemons that fell to a subreaper" {
	zdtm tree orphans
}

@test "zombies keep their status and are no news" {
	zdtm tree zombies
}

@test "a child that a thread forked" {
	zdtm tree threads
}

@test "a stopped child" {
	zdtm tree stopped
}
