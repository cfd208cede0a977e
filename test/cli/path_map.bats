load ../zdtm/lib/zdtm

dumped() {
	to=$(images)
	crtool dump -t "$pid" -D "$to"
	within 5 gone "$pid"
}

@test "files, directories and the working directory are found where they are now" {
	local old to

	park regular
	dumped
	old=$dir
	mv "$dir" "$dir.moved"
	run -4 crtool restore -d -D "$to"
	dir=$old.moved
	crtool restore -d -D "$to" --path-map "$old=$dir" --path-map "/nowhere=/x" --path-map "${old%/*}=/x"
	[ "$(readlink "/proc/$pid/cwd")" = "$dir" ]
	[ "$(readlink "/proc/$pid/fd/4")" = "$dir/file" ]
	mv "$dir" "$old" # where the victim looks for its release
	dir=$old
	release
}

@test "a copied file is the same by size and time, and prefixes are whole components" {
	local old to

	park regular
	dumped
	old=$dir
	cp -a "$dir" "$dir.copy"
	echo changed >"$dir/file"
	run -4 crtool restore -d -D "$to" --path-map "$old/fil=/x"
	[[ $output == *"file $dir/file: "*" since the dump"* ]]
	crtool restore -d -D "$to" --path-map "$old/file=$old.copy/file"
	[ "$(readlink "/proc/$pid/fd/4")" = "$old.copy/file" ]
	[ "$(readlink "/proc/$pid/cwd")" = "$old" ]
}

@test "fifos and deleted files go along" {
	local old to

	park inode many
	dumped
	old=$dir
	mv "$dir" "$dir.moved"
	dir=$old.moved
	crtool restore -d -D "$to" --path-map "$old=$dir"
	[ "$(readlink "/proc/$pid/fd/3")" = "$dir/gone (deleted)" ]
	mv "$dir" "$old"
	dir=$old
	release
}

@test "a map that is none is refused" {
	local word

	for word in a=b /a=b /a /a:/b =/b; do
		run -2 crtool restore -D "$BATS_TEST_TMPDIR" --path-map "$word"
	done
}

# copied FILE...: to the same place below $root.
copied() {
	tar -C / --format=posix -cf - "${@#/}" | tar -C "$root" -xf -
}

@test "--root: all of it is below another root now" {
	local old mapped root=$BATS_TEST_TMPDIR/root

	park regular
	mapfile -t mapped < <(sed -nE 's|^.* (/.*)|\1|p' "/proc/$pid/maps" | sort -u)
	dumped
	mkdir "$root"
	copied "${mapped[@]}" /dev/null "$dir"
	old=$dir
	mv "$old" "$old.away"
	run -2 crtool restore -d -D "$to" -r "$root/nowhere"
	crtool restore -d -D "$to" -r "$root"
	[ "$(readlink "/proc/$pid/root")" = "$root" ]
	dir=$root$old
	[ "$(readlink "/proc/$pid/fd/4")" = "$dir/file" ]
	release
}
