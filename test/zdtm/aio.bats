load lib/zdtm

@test "AIO contexts keep their ids and the events that wait" { zdtm aio; }

@test "that some requests cannot be seen is told" {
	park aio
	crtool dump -R -t "$pid" -D "$(images)" 2>&1 | grep "not carried: task $pid (aio): AIO context .*(IOCB_CMD_POLL) cannot be seen"
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
