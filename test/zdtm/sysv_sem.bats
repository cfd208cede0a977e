load lib/zdtm
load lib/sysv

@test "SysV semaphores keep values, id, key, mode and who was last" { zdtm sysv_sem; }

@test "a set that nobody has operated on stays one" { once sysv_sem fresh; }

@test "what processes and threads undo at their end is found out and undone" { zdtm sysv_sem undo; }

@test "who waits for a semaphore goes on to wait" { once sysv_sem blocked; }

@test "a set that is gone is made again with what is undone there" {
	park sysv_sem undo
	dump
	ipcrm -s "$(cut -d' ' -f2 "$dir/sysv")"
	crtool restore -d -D "$to"
	release
}

# The victim, and a process $outsider that uses its set $id, too.
with_outsider() {
	park sysv_sem kept
	id=$(cut -d' ' -f2 "$dir/sysv")
	local victim=$pid home=$dir
	park sysv_sem outsider "$id"
	outsider=$pid outside=$dir pid=$victim dir=$home
}

@test "a set that others use, too, is refused by name; --sysv keep leaves it to them" {
	with_outsider
	run -4 crtool dump -t "$pid" -D "$(images)"
	[[ $output == *"task $pid (sysv_sem): semaphore set $id (key 0x6372"*"task $outsider (sysv_sem)"*"--sysv keep"* ]]
	dump --sysv keep
	touch "$outside/release"
	within 5 gone "$outsider"
	[ "$(cat "$outside/result")" = pass ]
	crtool restore -d -D "$to"
	release
}

@test "a key that another set has is refused; --sysv recreate removes that when nobody uses it" {
	local id key other to

	park sysv_sem
	id=$(cut -d' ' -f2 "$dir/sysv")
	key=$(ipcs -s | awk -v id="$id" '$2 == id { print $1 }')
	dump
	ipcrm -s "$id"
	(
		cd "$dir" || exit 1
		# shellcheck disable=SC2016
		exec perl -e '$key = hex(shift); $id = semget($key, 3, 01600) // die; semop($id, pack("s*", 0, 1, 0)) || die;
			open($f, ">>", "sysv"); print $f "-s $id\n"; close($f);
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
