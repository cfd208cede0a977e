load lib/zdtm

@test "threads keep names, ids, local storage, robust lists and rseq" {
	zdtm thread
}

@test "system call user dispatch stays in force, and is not in the way" {
	crtool check | grep -q "^ptrace syscall dispatch *ok" || skip "ptrace(2) does not tell of it here"
	zdtm dispatch
	zdtm dispatch block
}

# Before Linux 6.4. old_dump COMMAND...: of a kernel that does not tell of dispatch.
old_dump() {
	run "$BUILD/test/fault/without" GET_DISPATCH "$@" dump -R -t "$pid" -D "$(images)" 3>&- 4>&-
}

# It is, and the program runs on.
dispatch_refused() {
	old_dump "$@"
	[ "$status" = 4 ] || explain "$output"
	[[ ${lines[-1]} == *"task $pid (dispatch): thread $pid: system call user dispatch "* ]] || explain "$output"
	running "$pid"
	release
}

@test "where the kernel does not tell of system call user dispatch it is refused by name" {
	local less=-bpf,-perfmon,-sys_admin
	local blind=(setpriv --bounding-set "$less" --inh-caps "$less" "$BUILD/crtool")

	park dispatch
	dispatch_refused "$BUILD/crtool"
	park dispatch block
	dispatch_refused "$BUILD/crtool"
	# who may not look for it is told by a call that it stops, or not at all
	park dispatch block
	dispatch_refused "${blind[@]}"
	park dispatch
	old_dump "${blind[@]}"
	[ "$status" = 0 ]
	[[ $output == *"not carried: task $pid (dispatch): system call user dispatch, if it is in force"* ]] || explain "$output"
	release
}

@test "a restartable sequence that is interrupted is aborted" {
	zdtm rseq
}
