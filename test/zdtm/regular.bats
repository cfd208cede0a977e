load lib/zdtm

@test "a regular file keeps its offset" {
	zdtm regular
}

# Has the file system of the tests O_DIRECT (tmpfs: Linux 6.6)?
opens_direct() {
	: >"$BATS_TEST_TMPDIR/direct"
	dd if="$BATS_TEST_TMPDIR/direct" iflag=direct of=/dev/null 2>/dev/null
}

@test "status flags of a regular file stay: append, direct, sync, noatime, nonblock, nofollow, path" {
	local flag

	for flag in append direct sync dsync noatime nonblock nofollow path; do
		echo "--- $flag"
		[ "$flag" != direct ] || opens_direct || continue
		park regular "$flag"
		dump_and_restore
		release
	done
}

# dumped: dump it to $to, which is not restored yet.
dumped() {
	to=$(images)
	crtool dump -t "$pid" -D "$to"
	within 5 gone "$pid"
}

restore_refused() {
	run -4 crtool restore -d -D "$to"
	[[ $output == *"$1"* ]] || explain "it said: $output"
	gone "$pid"
}

@test "a file that grew, shrank, was written to, replaced or lost since the dump is told" {
	local to

	park regular
	cp -p "$dir/file" "$dir/copy"
	dumped
	echo more >>"$dir/file"
	restore_refused "file $dir/file: grew by 5 bytes since the dump"
	truncate -s 7 "$dir/file"
	restore_refused "file $dir/file: shrank by 3 bytes since the dump"
	echo 012345678 >"$dir/file"
	restore_refused "file $dir/file: was written to since the dump"
	cp -p "$dir/copy" "$dir/new"
	mv "$dir/new" "$dir/file"
	restore_refused "file $dir/file: was replaced by another since the dump"
	rm "$dir/file"
	restore_refused "file $dir/file: is gone since the dump"
}

@test "a file that somebody renames all the time: dumped, or refused by name, and the program runs on" {
	local to mover

	park regular
	python3 -c '
import os, sys
os.chdir(sys.argv[1])
while True:
    os.rename("file", "moved")
    os.rename("moved", "file")
' "$dir" 3>&- 4>&- &
	mover=$!
	for _ in {1..8}; do
		to=$(images)
		run crtool dump -R -t "$pid" -D "$to"
		running "$pid"
		[ "$status" = 0 ] || [[ $status = 4 && $output == *"fd "*": $dir/"* ]]
	done
	kill "$mover"
	wait "$mover" || true
	[ -e "$dir/file" ] || mv "$dir/moved" "$dir/file"
	dump_and_restore
	release
}

# ---- chattr(1) ----

marked=()

teardown() {
	[ "${#marked[@]}" = 0 ] || chattr -ia "${marked[@]}" || true
	zdtm_teardown
}

# mark MARKS FILE
mark() {
	marked+=("$2")
	chattr "$1" "$2" 2>&1 || skip "no chattr $1 here"
}

# dump_refused WORDS: before the freeze, and the victim runs on.
dump_refused() {
	run -4 crtool dump -t "$pid" -D "$(images)"
	[[ $output == *"task $pid (regular): fd "*": $dir/"*"$1"* ]] || explain "it said: $output"
	running "$pid"
	run -4 crtool check -t "$pid"
	[[ $output == *"$1"* ]]
}

@test "a file made immutable or append-only while it is open for writing is refused, with the remedy" {
	park regular
	mark +i "$dir/file"
	dump_refused "is open for writing, but since then: it is immutable, and cannot be opened for writing; chattr -i $dir/file"
	chattr -i "$dir/file"
	mark +a "$dir/file"
	dump_refused "is open for writing, but since then: it can only be appended to, and cannot be opened for writing elsewhere; chattr -a $dir/file"
	chattr -a "$dir/file"
	dump_and_restore
	release
}

@test "an immutable file that is open to read is carried, an append-only one with O_APPEND" {
	park regular readonly
	mark +i "$dir/file"
	dump_and_restore
	release
	park regular append
	mark +a "$dir/file"
	dump_and_restore
	release
}

@test "a file that was made immutable since the dump: the restore says so" {
	local to

	park regular
	dumped
	mark +i "$dir/file"
	run crtool restore -d -D "$to"
	[ "$status" != 0 ]
	[[ $output == *"file $dir/file: it is immutable, and cannot be opened for writing; chattr -i it"* ]]
	chattr -i "$dir/file"
	crtool restore -d -D "$to"
	release
}

@test "a deleted file whose directory is append-only now is refused, with the remedy" {
	park regular
	rm "$dir/file"
	mark +a "$dir"
	dump_refused "is deleted, and to make it again the directory where it was is needed, which can only be added to; chattr -a $dir"
	chattr -a "$dir"
}
