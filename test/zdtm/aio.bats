load lib/zdtm

@test "AIO contexts keep their ids and the events that wait" { zdtm aio; }

# seen: requests that wait are, on this kernel and with our rights.
seen() {
	park aio poll
	run -0 crtool dump -R -t "$pid" -D "$(images)"
	release
	[[ $output != *"(IOCB_CMD_POLL) cannot be seen"* ]]
}

@test "requests that wait for a file to be ready go on to wait" {
	seen || skip "this kernel does not show them"
	zdtm aio poll
}

@test "one that waits for a file that is closed is refused by name" {
	seen || skip "this kernel does not show them"
	park aio gone
	run -4 crtool dump -t "$pid" -D "$(images)"
	[[ $output == *"task $pid (aio): AIO context "*": a request (IOCB_CMD_POLL) waits for a file that is open no more in its process"* ]]
	running "$pid"
	release
}

@test "where they cannot be seen that is told" {
	park aio
	run -0 blind_crtool dump -R -t "$pid" -D "$(images)"
	[[ $output == *"not carried: task $pid (aio): AIO contexts: "*"(IOCB_CMD_POLL) cannot be seen"* ]]
	release
}

# A disk that others keep busy is no reason to fail here: then it is refused, and asked again.
dump_at_rest() {
	local tries

	for tries in {1..30}; do
		run crtool dump "$@"
		[ "$status" = 9 ] || break
		[[ $output == *"a disk that it uses (O_DIRECT) is still at work: requests may be under way"* ]]
		running "$pid"
	done
	[ "$status" = 0 ] || explain "after $tries: $output"
}

@test "requests that a disk is at are waited for" {
	fresh_dir
	dd if=/dev/zero of="$dir/probe" bs=4096 count=1 oflag=direct 2>/dev/null || skip "no direct I/O here"
	for ((i = 0; i < 3; i++)); do
		park aio direct
		to=$(images)
		dump_at_rest -t "$pid" -D "$to"
		within 5 gone "$pid"
		crtool restore -d -D "$to"
		release
		rm -r "$to"
	done
	park aio direct
	dump_at_rest -R -t "$pid" -D "$(images)"
	release
}
