load lib/zdtm

@test "of many processes each keeps what it has besides the others" {
	zdtm together
}

@test "what many processes change between the look and the freeze is carried as they have it then" {
	local to

	to=$(images)
	park together late
	crtool dump -t "$pid" -D "$to" --action-script "[ \$CRTOOLS_SCRIPT_ACTION != pre-dump ] || {
		touch $dir/change
		until [ -e $dir/changed ]; do sleep 0.01; done
	}"
	within 5 gone "$pid"
	crtool restore -d -D "$to"
	release
}

@test "many processes are carried where the kernel tells nothing of all at once" {
	local to

	to=$(images)
	park together
	blind_crtool dump -t "$pid" -D "$to"
	within 5 gone "$pid"
	crtool restore -d -D "$to"
	release
}

@test "of a directory where many processes work they inherit one descriptor" {
	local to

	to=$(images)
	park together
	crtool dump -t "$pid" -D "$to"
	within 5 gone "$pid"
	run -0 crtool restore --explain -D "$to"
	[ "$(grep -o "fchdir([^)]*)" <<<"$output" | sort -u | wc -l)" -eq 2 ] # that of all, and "sub"
	crtool restore -d -D "$to"
	release
}
