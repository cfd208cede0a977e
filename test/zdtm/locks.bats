load lib/zdtm

@test "POSIX, OFD and flock locks are held" {
	zdtm locks
}

@test "a lock that somebody took since the dump makes the restore fail" {
	local to

	park locks
	to=$(images)
	crtool dump -t "$pid" -D "$to"
	within 5 gone "$pid"
	run flock "$dir/whole" "$BUILD/crtool" restore -d -D "$to"
	[ "$status" -ne 0 ]
	[[ $output == *locks* ]]
}
