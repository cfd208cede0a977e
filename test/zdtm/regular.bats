load lib/zdtm

@test "a regular file keeps its offset" {
	zdtm regular
}

@test "status flags of a regular file stay: append, direct, sync, noatime, nonblock, nofollow, path" {
	local flag

	for flag in append direct sync dsync noatime nonblock nofollow path; do
		echo "--- $flag"
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
