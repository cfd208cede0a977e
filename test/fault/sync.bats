# A dump ends the tree only when the checkpoint is on the disk; with --no-sync nothing waits for the disk.
load ../zdtm/lib/zdtm

# calls OPTIONS...: of a dump with these, in turn, as strace prints them; to $to and $stream, if they are set.
calls() {
	strace -V >/dev/null 2>&1 || skip "no strace"
	park park
	to=${to:-$(images)}
	strace -f -o "$dir/calls" -e trace=fsync,fdatasync,rename,renameat,renameat2,kill \
		"$BUILD/crtool" dump "$@" -t "$pid" -D "$to" >"${stream:-/dev/null}" 3>&- 4>&-
	grep -oE '(fsync|fdatasync|rename[a-z0-9]*)\(.*|kill\(.*SIGKILL.*' "$dir/calls" >"$dir/in_turn"
	cat "$dir/in_turn"
}

# line PATTERN: the number of the last one.
line() {
	grep -nE "$1" "$dir/in_turn" | tail -n 1 | cut -d : -f 1
}

@test "every file and the directory are on the disk before the tree is killed" {
	local files

	calls
	files=$(find "$to" -type f | wc -l)
	[ "$(grep -cE '^f(data)?sync' "$dir/in_turn")" -gt "$files" ]
	[ "$(line '^rename.*manifest')" -gt "$(grep -nE '^f(data)?sync' "$dir/in_turn" | sed -n "${files}p" | cut -d : -f 1)" ]
	[ "$(line '^f(data)?sync')" -gt "$(line '^rename.*manifest')" ]
	[ "$(line "kill\($pid")" -gt "$(line '^f(data)?sync')" ]
	crtool restore -d -D "$to"
	release
}

@test "--no-sync waits for no disk, and the manual says what is risked" {
	calls --no-sync
	run ! grep -qE '^f(data)?sync' "$dir/in_turn"
	[ "$(line "kill\($pid")" -gt "$(line '^rename.*manifest')" ]
	grep -A 3 'It Fl -no-sync' "$ROOT/doc/crtool.8" | grep -q crash
	crtool restore -d -D "$to"
	release
}

@test "a stream that becomes a file is on the disk, too, and with --no-sync it need not be" {
	local to=- stream=$BATS_TEST_TMPDIR/stream

	calls
	[ "$(line "kill\($pid")" -gt "$(line '^f(data)?sync')" ]
	crtool restore -d -D - <"$stream"
	release
	calls --no-sync
	run ! grep -qE '^f(data)?sync' "$dir/in_turn"
	crtool restore -d -D - <"$stream"
	release
}

@test "nobody else can read what a dump writes, whatever the umask is" {
	local file

	park park
	to=$(images)/deeper
	(umask 0 && crtool dump -t "$pid" -D "$to")
	[ "$(stat -c %a "$to")" = 700 ]
	for file in "$to"/*; do
		[ "$(stat -c %a "$file")" = 600 ] || explain "$file: $(stat -c %a "$file")"
	done
	crtool restore -d -D "$to"
	release
}
