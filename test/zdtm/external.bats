load lib/zdtm

writer=''

# A victim whose standard input is a pipe that somebody else writes to; its inode is in $inode.
park_at_pipe() {
	fresh_dir
	[ -z "$writer" ] || kill "$writer"
	exec 8< <(exec sleep 100 3>&- 4>&-)
	writer=$!
	(
		cd "$dir" || exit 1
		exec <&8 >>out 2>>err
		for fd in /proc/self/fd/*; do
			fd=${fd##*/}
			[ "$fd" -lt 3 ] || eval "exec $fd>&-"
		done
		exec setsid "$BUILD/test/zdtm/external" pipe
	) &
	pid=$!
	exec 8<&-
	disown "$pid"
	within 20 parked_or_gone
	inode=$(stat -Lc %i "/proc/$pid/fd/0")
}

teardown() {
	zdtm_teardown
	[ -z "$writer" ] || kill "$writer"
}

dumped() {
	to=$(images)
	crtool dump -t "$pid" -D "$to" "$@"
	within 5 gone "$pid"
}

@test "a pipe from outside: --external lets it go, --inherit-fd gives another" {
	local inode to word

	park_at_pipe
	run -4 crtool dump -t "$pid" -D "$(images)"
	running "$pid"
	crtool check -t "$pid" --external "pipe[$inode]"
	for word in "pipe[$inode]" "pipe:[$inode]"; do
		park_at_pipe
		dumped --external "${word/[0-9]*/$inode]}"
		run -4 crtool restore -d -D "$to"
		[[ $output == *"pipe[$inode] was not carried (--external); give --inherit-fd fd[N]:pipe[$inode]"* ]]
		crtool restore -d -D "$to" --inherit-fd "fd[9]:${word/[0-9]*/$inode]}" 9< <(echo x)
		release
	done
}

@test "a socket from outside" {
	local inode to

	park external socket
	pid=$(cat "$dir/pid")
	inode=$(stat -Lc %i "/proc/$pid/fd/0")
	dumped --external "unix[$inode]"
	exec 9<>/dev/udp/127.0.0.1/9
	crtool restore -d -D "$to" --inherit-fd "fd[9]:socket[$inode]"
	exec 9>&-
	release
}

@test "a file that is not carried is opened by its path, whatever has become of it" {
	local to

	park regular
	dumped --external "file[$(sed -n 's/^mnt_id:\t*//p' "/proc/$pid/fdinfo/4"):$(stat -Lc %i "/proc/$pid/fd/4")]"
	echo much more >"$dir/file"
	crtool restore -d -D "$to"
	[ "$(readlink "/proc/$pid/fd/4")" = "$dir/file" ]
	grep -q '^pos:.*3$' "/proc/$pid/fdinfo/4"
}

@test "--inherit-fd in place of a file by its path, from the root, or by mount and inode" {
	local key to

	for key in path slash inode; do
		park regular
		case $key in
		path) key=${dir#/}/file ;;
		slash) key=$dir/file ;;
		inode) key="file[$(sed -n 's/^mnt_id:\t*//p' "/proc/$pid/fdinfo/4"):$(stat -Lc %i "$dir/file")]" ;;
		esac
		dumped
		echo other >"$dir/other"
		mv "$dir/file" "$dir/file.was"
		crtool restore -d -D "$to" --inherit-fd "fd[6]:$key" 6<>"$dir/other"
		[ "$(readlink "/proc/$pid/fd/4")" = "$dir/other" ]
	done
}

@test "a device: --external lets it go, it is opened by its path or --inherit-fd gives another" {
	local key to

	park chardev
	key="tty[$(printf %x $((0x105))):$(stat -c %D /dev/zero)]"
	[ "$(readlink "/proc/$pid/fd/4")" = /dev/zero ]
	dumped --external "$key"
	crtool restore -d -D "$to"
	release
	park chardev
	dumped --external "$key"
	crtool restore -d -D "$to" --inherit-fd "fd[9]:$key" 9</dev/full
	[ "$(readlink "/proc/$pid/fd/4")" = /dev/full ]
}

@test "a directory in place of another" {
	local key to

	park directory
	[ "$(readlink "/proc/$pid/fd/3")" = "$dir/d" ]
	key="file[$(sed -n 's/^mnt_id:\t*//p' "/proc/$pid/fdinfo/3"):$(stat -c %i "$dir/d")]"
	dumped --external "$key"
	mkdir "$dir/other"
	crtool restore -d -D "$to" --inherit-fd "fd[9]:$key" 9<"$dir/other"
	[ "$(readlink "/proc/$pid/fd/3")" = "$dir/other" ]
}

@test "what makes no sense is refused: keys, numbers, files that there are not, directions" {
	local inode to

	park_at_pipe
	run -2 crtool dump -t "$pid" --external 'mnt[7]:x' -D "$(images)"
	[[ $output == *"--external mnt[7]:x: is none of file[MNT_ID:INODE], pipe[INODE]"* ]]
	running "$pid"
	dumped --external "pipe[$inode]"
	run -2 crtool restore -d -D "$to" --inherit-fd "7:pipe[$inode]"
	[[ $output == *"give fd[N]:KEY"* ]]
	run -2 crtool restore -d -D "$to" --inherit-fd "fd[7]:pipe[$inode]"
	[[ $output == *"crtool was started without a descriptor 7"* ]]
	run -2 crtool restore -d -D "$to" -o "$dir/log" --inherit-fd "fd[3]:pipe[$inode]"
	[[ $(cat "$dir/log") == *"crtool was started without a descriptor 3"* ]]
	run -2 crtool restore -d -D "$to" --inherit-fd "fd[7]:pipe[1]" 7</dev/null
	[[ $output == *"--inherit-fd fd[7]:pipe[1]: the checkpoint has no such file"* ]]
	run -4 crtool restore -d -D "$to" --inherit-fd "fd[7]:pipe[$inode]" 7>/dev/null
	[[ $output == *"descriptor 7 cannot be read from"* ]]
	gone "$pid"
}
