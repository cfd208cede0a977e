# Threads of the kernel are processes only in the first pid namespace.
# Not in a pid namespace of its own (scripts/run-test).
load ../zdtm/lib/zdtm
load lib/refuse

# One whose stat has PF_KTHREAD (0x200000), as $pid.
setup() {
	local stat fields

	for stat in /proc/[0-9]*/stat; do
		read -r pid _ <"$stat" || continue
		read -ra fields < <(sed 's/^.*) //' "$stat")
		((! (${fields[6]:-0} & 0x200000))) || return 0
	done
	skip "no kernel threads in this pid namespace"
}

@test "a kernel thread is refused" {
	refused 4 "task $pid (*): is a kernel thread"
	[ -e "/proc/$pid" ]
}

@test "crtool check says the same of a kernel thread" {
	run -4 crtool check -t "$pid"
	[[ $output == *"is a kernel thread"* ]]
}
