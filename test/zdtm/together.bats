load lib/zdtm
load lib/many

@test "of many processes each keeps what it has besides the others" {
	zdtm together
}

@test "what many processes change between the look and the freeze is carried as they have it then" {
	changed_late together
}

@test "many processes are carried where the kernel tells nothing of all at once" {
	untold together
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
