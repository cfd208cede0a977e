load ../zdtm/lib/zdtm

# A victim whose standard output is a log that it has open for appending.
log_and_dump() {
	park park
	to=$(images)
	crtool dump -t "$pid" -D "$to"
	echo "somebody else" >>"$dir/out"
}

@test "a log that has grown is refused, naming the policy that accepts it" {
	log_and_dump
	run -4 crtool restore -d -D "$to"
	[[ $output == *"$dir/out"*"grew by 14 bytes since the dump; put it back, or --file-policy=append or any accepts that"* ]]
	gone "$pid"
}

@test "--file-policy append accepts it, the program goes on at the end" {
	log_and_dump
	crtool restore -d --file-policy append -D "$to"
	release
	grep -q "somebody else" "$dir/out"
}

@test "--file-policy any accepts a file that shrank" {
	log_and_dump
	: >"$dir/out"
	crtool restore -d --file-policy=any -D "$to"
	release
}

@test "a policy that there is not" {
	run -2 crtool restore --file-policy most
	[[ $output == *"--file-policy most: is none of exact, append, any, rollback"* ]]
}

# kept FILE: dump a victim whose files are kept, to $to.
kept() {
	park "$@"
	to=$(images)
	crtool dump --file-contents -t "$pid" -D "$to"
	within 5 gone "$pid"
}

@test "rollback writes back what was kept: grown, shrunk, written to" {
	local before how to

	kept regular
	before=$(stat -c '%s %Y %i' "$dir/file")
	cp "$dir/file" "$dir/was"
	for how in 'echo more >>file' 'truncate -s 2 file' 'echo 012345678 >file' 'truncate -s 10M file'; do
		(cd "$dir" && eval "$how")
		run -4 crtool restore -d -D "$to"
		[[ $output == *"file $dir/file: "*" since the dump"*"--file-policy=rollback or any accepts that"* ]]
		run -4 crtool restore -d --file-policy append -D "$to"
		crtool restore --explain --file-policy rollback -D "$to" >/dev/null
		run ! cmp -s "$dir/file" "$dir/was"
		crtool restore -d --file-policy rollback -D "$to"
		[ "$(stat -c '%s %Y %i' "$dir/file")" = "$before" ]
		cmp "$dir/file" "$dir/was"
		kill -KILL "$pid"
		within 5 gone "$pid"
	done
	crtool restore -d --file-policy rollback -D "$to"
	release
}

@test "rollback puts back what is gone, and takes it away again if the restore fails" {
	local before to

	kept regular
	before=$(stat -c '%s %Y %a %u:%g' "$dir/file")
	mv "$dir/file" "$dir/was"
	run -4 crtool restore -d -D "$to"
	[[ $output == *"file $dir/file: is gone since the dump; put it back, or --file-policy=rollback does"* ]]
	run -1 crtool restore -d --file-policy rollback --fail-at compile -D "$to"
	[ ! -e "$dir/file" ]
	run -1 crtool restore -d --file-policy rollback --fail-at run -D "$to"
	[ ! -e "$dir/file" ]
	crtool restore -d --file-policy rollback -D "$to"
	[ "$(stat -c '%s %Y %a %u:%g' "$dir/file")" = "$before" ]
	cmp "$dir/file" "$dir/was"
	release
}

@test "of what is gone nothing was kept, or its directory is gone, too" {
	local to

	park regular
	to=$(images)
	crtool dump -t "$pid" -D "$to"
	within 5 gone "$pid"
	rm "$dir/file"
	run -4 crtool restore -d --file-policy rollback -D "$to"
	[[ $output == *"file $dir/file: is gone since the dump; put it back" ]]
	kept regular
	mv "$dir" "$dir.away"
	run ! crtool restore -d --file-policy rollback -D "$to"
	mv "$dir.away" "$dir"
	[[ $output == *"$dir"*": is gone since the dump; put it back"* ]]
}

@test "rollback without --file-contents, or of a file that was replaced, is refused" {
	local to

	park regular
	to=$(images)
	crtool dump -t "$pid" -D "$to"
	within 5 gone "$pid"
	echo more >>"$dir/file"
	run -4 crtool restore -d --file-policy rollback -D "$to"
	[[ $output == *"grew by 5 bytes since the dump; put it back, or --file-policy=any accepts that"* ]]
	kept regular
	cp "$dir/file" "$dir/new"
	mv "$dir/new" "$dir/file"
	run -4 crtool restore -d --file-policy rollback -D "$to"
	[[ $output == *"was replaced by another since the dump"* ]]
}

@test "a program that was installed again is accepted by its build id, another build is not" {
	local to

	fresh_dir
	cp "$BUILD/test/zdtm/park" "$dir/program"
	start "$dir/program"
	within 20 parked_or_gone
	to=$(images)
	crtool dump -t "$pid" -D "$to"
	within 5 gone "$pid"
	cp "$BUILD/test/zdtm/regular" "$dir/new"
	mv "$dir/new" "$dir/program"
	run -4 crtool restore -d -D "$to"
	[[ $output == *"file $dir/program: is another build since the dump (build id)"* ]]
	cp "$BUILD/test/zdtm/park" "$dir/new"
	mv "$dir/new" "$dir/program"
	crtool restore -d -D "$to"
	release
}
