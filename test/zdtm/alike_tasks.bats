load lib/zdtm
load lib/many

@test "of many processes each has what only itself can tell" {
	zdtm alike_tasks
}

@test "what they set between the look and the freeze is theirs" {
	changed_late alike_tasks
}

@test "where nobody tells of all, all are asked" {
	untold alike_tasks
}

@test "of those that are alike one is asked" {
	local n

	park alike_tasks late
	n=$(asked)
	touch "$dir/change"
	within 20 [ -e "$dir/changed" ]
	release
	if [ "$n" -gt 50 ]; then
		skip "the kernel does not tell us of all processes at once"
	fi
	[ "$n" -le 3 ] # the parent, and one of its children; another might be told apart by where it stood
}
