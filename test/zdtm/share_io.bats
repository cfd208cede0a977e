load lib/zdtm

@test "an I/O context is shared again by the processes and threads that shared it" {
	zdtm share_io
}

@test "it is also where crtool has a priority of its own" {
	park share_io
	to=$(images)
	ionice -c 2 -n 1 "$BUILD/crtool" dump -t "$pid" -D "$to" 3>&- 4>&-
	within 5 gone "$pid"
	ionice -c 2 -n 1 "$BUILD/crtool" restore -d -D "$to" 3>&- 4>&-
	release
}

@test "threads that share an I/O context which is not the main thread's are refused by name" {
	park share_io apart
	run -4 crtool dump -t "$pid" -D "$(images)"
	[[ "$output" =~ "task $pid (share_io): thread "[0-9]+" shares its I/O context (CLONE_IO) with thread "[0-9]+", but not with" ]]
	running "$pid"
	release
}
