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

@test "--explain forks nobody, traces nobody and writes nothing" {
	local to

	[ -n "$(command -v strace)" ] || skip "no strace"
	park thread
	dump
	strace -f -o "$dir/calls" -e trace=clone,clone3,fork,vfork,ptrace,kill,tgkill,mkdir,mkdirat,unlink,unlinkat,rename,renameat,renameat2,connect,bind \
		"$BUILD/crtool" restore --explain -D "$to" >"$dir/said" 3>&- 4>&-
	run ! grep -E "^[0-9]+ +[a-z0-9_]+\(" "$dir/calls"
	crtool restore -d -D "$to"
	release
}
