load lib/zdtm
load lib/sysv

@test "a SysV message queue keeps messages, limit, id, key, owner and who was last" { zdtm sysv_msg; }

@test "an empty queue keeps who was last" {
	park sysv_msg empty
	dump
	ipcrm -q "$(cut -d' ' -f2 "$dir/sysv")"
	crtool restore -d -D "$to"
	release
}

@test "who waits to send or to receive goes on to wait" { once sysv_msg blocked; }

@test "a queue that is gone is made again with its messages" {
	park sysv_msg
	dump
	ipcrm -q "$(cut -d' ' -f2 "$dir/sysv")"
	crtool restore -d -D "$to"
	release
}

@test "a queue that others use, too, is refused by name; --sysv keep leaves it to them" {
	park sysv_msg kept
	id=$(cut -d' ' -f2 "$dir/sysv")
	local victim=$pid home=$dir
	park sysv_msg outsider "$id"
	outsider=$pid outside=$dir pid=$victim dir=$home
	run -4 crtool dump -t "$pid" -D "$(images)"
	[[ $output == *"task $pid (sysv_msg): message queue $id (key 0x6372"*"task $outsider (sysv_msg)"*"--sysv keep"* ]]
	dump --sysv keep
	touch "$outside/release"
	within 5 gone "$outsider"
	crtool restore -d -D "$to"
	release
}

@test "a key that another queue has is refused; --sysv recreate removes that when nobody uses it" {
	local id key other to

	park sysv_msg
	id=$(cut -d' ' -f2 "$dir/sysv")
	key=$(ipcs -q | awk -v id="$id" '$2 == id { print $1 }')
	dump
	ipcrm -q "$id"
	(
		cd "$dir" || exit 1
		# shellcheck disable=SC2016
		exec perl -e '$key = hex(shift); $id = msgget($key, 01600) // die; msgsnd($id, pack("l! a*", 1, "theirs"), 0) || die;
			open($f, ">>", "sysv"); print $f "-q $id\n"; close($f);
			open($f, ">", "made"); sleep 1000' "$key" 3>&- 4>&-
	) &
	other=$!
	within 20 test -e "$dir/made"
	run -8 crtool restore -d -D "$to"
	[[ $output == *"$id (key $key)"* ]]
	run -8 crtool restore --sysv recreate -d -D "$to"
	[[ $output == *"$id (key $key)"*": is in use by task $other (perl)"* ]]
	kill "$other"
	wait "$other" || true
	crtool restore --sysv recreate -d -D "$to"
	release
}
