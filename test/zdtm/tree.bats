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

all_stopped() {
	local task

	for task in $(tree_of "$pid"); do
		grep -q '^State:.T' "/proc/$task/status" || return 1
	done
}

@test "a tree that is stopped as a whole, its root, too" {
	local all way

	for way in dump_running_stopped dump_and_restore dump_and_restore_thrice; do
		park tree plain
		mapfile -t all < <(tree_of "$pid")
		kill -STOP "${all[@]}"
		within 10 all_stopped
		"$way"
		all_stopped
		mapfile -t all < <(tree_of "$pid")
		kill -CONT "${all[@]}"
		release
	done
}

dump_running_stopped() {
	crtool dump -R -t "$pid" -D "$(images)"
}

@test "a child that a thread forked, and that asked for a signal at its end: what will be of it is told" {
	park tree deathsig
	run -0 crtool dump -R -t "$pid" -D "$(images)"
	[[ $output == *"not carried: task "*" (tree): thread "*": signal 10 at the end of thread "*" of its parent, which forked it"* ]] || explain "$output"
	release
}
