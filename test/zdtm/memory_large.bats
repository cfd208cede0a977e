load lib/zdtm
load ../fault/lib/refuse

@test "much memory comes back as it was, among threads" { zdtm memory_large; }

@test "much shared memory comes back as it was" { zdtm memory_large shared; }

# damaged PAGES-WORD: the parked victim is dumped; whichever bit of its page files is wrong, nothing is restored;
# without that, what crtool says of the restore matches the word.
damaged() {
	local file size at

	dump
	for file in "$to"/pages-*.img; do
		size=$(stat -c %s "$file")
		[ "$size" -ge $((16 << 20)) ] || continue
		for at in 5000 $(((16 << 20) - 1)) $((size / 2)) $((size - 1)); do
			flip "$file" "$at"
			says 6 "checkpoint $to: ${file##*/}: wrong checksum of its $size bytes; the copy is damaged*" \
				crtool restore -d -D "$to"
			flip "$file" "$at"
			gone "$pid"
		done
	done
	crtool restore -vv -d -D "$to" 2>"$dir/said"
	grep -q "$1" "$dir/said"
	release
}

@test "large page files of shared memory are verified as they are read" {
	park memory_large shared
	damaged 'shared memory .* pieces of page files are verified as they are read'
}

@test "large page files are verified by the tasks that read them" {
	park memory_large
	damaged '^crtool: [0-9]* pieces of page files were verified by the tasks that read them'
}

@test "large page files are verified by the tasks that have pages put in place" {
	park memory_dense
	damaged '^crtool: [0-9]* pieces of page files were verified by the tasks that read them'
}

@test "no piece is read twice for what lies alone in it, or elsewhere" {
	local file pieces=0

	park memory_dense one
	dump
	for file in "$to"/pages-*.img; do
		pieces=$((pieces + ($(stat -c %s "$file") + (16 << 20) - 1) / (16 << 20)))
	done
	crtool restore -vv -d -D "$to" 2>"$dir/said"
	grep -qx "crtool: $pieces pieces of page files were verified by the tasks that read them" "$dir/said"
	release
}

@test "what is only explained is verified, too" {
	local file

	park memory_large
	dump
	for file in "$to"/pages-*.img; do
		flip "$file" 5000
		says 6 "checkpoint $to: ${file##*/}: wrong checksum of its * bytes; the copy is damaged*" \
			crtool restore --explain -D "$to"
		flip "$file" 5000
	done
}

@test "long runs of small pages, and what lies alone beside them" { zdtm memory_dense; }

# userfaultfd(2), UFFD_USER_MODE_ONLY
may_put_in_place() {
	python3 -c 'import ctypes, sys; sys.exit(ctypes.CDLL(None).syscall(323, 1) < 0)'
}

@test "long runs are put in place" {
	may_put_in_place || skip "no userfaultfd for user mode"
	park memory_dense
	to=$(images)
	crtool dump -R -t "$pid" -D "$to"
	crtool restore --explain -D "$to" >"$dir/script"
	grep -q 'userfaultfd(' "$dir/script"
	release
}
