load lib/zdtm

@test "userfaultfd, secret memory, Landlock rulesets, perf events, /dev/fuse ...: refused by name, all at once" {
	local fd word

	park fds_kinds
	run -4 crtool check -t "$pid"
	[[ ${lines[-1]} == *"task $pid: cannot be saved: $(wc -l <"$dir/list") obstacles" ]]
	while read -r fd word; do
		[[ $output == *"task $pid (fds_kinds): fd $fd: $word: not supported by this version; --on-unknown-fd=null or =close lets it go"* ]]
	done <"$dir/list"
	running "$pid"
	release
}

@test "--on-unknown-fd lets each of them go, by patterns" {
	local to

	park fds_kinds null
	dump --on-unknown-fd='null:anon_inode:*' --on-unknown-fd='null:/dev/*' --on-unknown-fd='null:secret memory*' \
		--on-unknown-fd=close
	crtool restore -d -D "$to"
	release
	park fds_kinds close
	dump --on-unknown-fd=null:nothing --on-unknown-fd='close:*'
	crtool restore -d -D "$to"
	release
}

@test "the system console and virtual consoles: refused, let go by policy, with -j the terminal of crtool" {
	local to path

	for path in /dev/console /dev/tty1; do
		fresh_dir
		start "$BUILD/test/zdtm/fds_kinds" "$path"
		within 20 parked_or_gone
		[ -e "$dir/parked" ] || skip "there is no $path"
		run -4 crtool dump -t "$pid" -D "$(images)"
		[[ $output == *"fd 3: $path: "*"console; -j saves it as that of a shell job"* ]]
		crtool check -t "$pid" --on-unknown-fd="close:$path"
		dump -j
		touch "$dir/release"
		start script -qec "$BUILD/crtool restore -j -D $to" typescript
		within 20 test -s "$dir/result" || { cat "$dir"/{typescript,err} && false; }
		[ "$(cat "$dir/result")" = pass ]
		within 20 grep -q "still here" "$dir/typescript"
	done
}
