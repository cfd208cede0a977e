load lib/zdtm

@test "of many processes each has what only itself can tell" {
	zdtm alike_tasks
}

@test "what they set between the look and the freeze is theirs" {
	local to

	to=$(images)
	park alike_tasks late
	crtool dump -t "$pid" -D "$to" --action-script "[ \$CRTOOLS_SCRIPT_ACTION != pre-dump ] || {
		touch $dir/change
		until [ -e $dir/changed ]; do sleep 0.01; done
	}"
	within 5 gone "$pid"
	crtool restore -d -D "$to"
	release
}

@test "where nobody tells of all, all are asked" {
	local to

	to=$(images)
	park alike_tasks
	blind_crtool dump -t "$pid" -D "$to"
	within 5 gone "$pid"
	crtool restore -d -D "$to"
	release
}

@test "of those that are alike one is asked" {
	local asked

	park alike_tasks late
	asked=$(crtool dump -R --json -t "$pid" -D "$(images)" | grep -o '"threads_asked": *[0-9]*' | grep -o '[0-9]*$')
	touch "$dir/change"
	within 20 [ -e "$dir/changed" ]
	release
	if [ "$asked" -gt 50 ]; then
		skip "the kernel does not tell us of all processes at once"
	fi
	[ "$asked" -le 3 ] # the parent, and one of its children; another might be told apart by where it stood
}
