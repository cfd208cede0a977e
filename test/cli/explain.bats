load ../zdtm/lib/zdtm

@test "--explain prints each thread's script and does nothing" {
	local to

	park thread
	to=$(images)
	crtool dump -t "$pid" -D "$to"
	run --separate-stderr crtool restore --explain -D "$to"
	[ "$status" -eq 0 ]
	[ -z "$stderr" ]
	[[ $output == "task $pid (thread), thread $pid"* ]]
	[ "$(grep -c '^task ' <<<"$output")" -eq 42 ]
	grep -q 'memory *mmap(0x[0-9a-f]*, 0x[0-9a-f]*, PROT_READ|PROT_EXEC, MAP_PRIVATE' <<<"$output"
	grep -q "thread *set_tid_address(0x[0-9a-f]*) = $pid" <<<"$output"
	gone "$pid"
	crtool restore -d -D "$to"
	release
}
