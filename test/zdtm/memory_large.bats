load lib/zdtm
load ../fault/lib/refuse

@test "much memory comes back as it was, among threads" { zdtm memory_large; }

@test "much shared memory comes back as it was" { zdtm memory_large shared; }

@test "large page files of shared memory are verified as they are read" {
	local file size at

	park memory_large shared
	dump
	for file in "$to"/pages-*.img; do
		size=$(stat -c %s "$file")
		[ "$size" -ge $((16 << 20)) ] || continue
		for at in 5000 $((size / 2)) $((size - 1)); do
			flip "$file" "$at"
			says 6 "checkpoint $to: ${file##*/}: wrong checksum of its $size bytes; the copy is damaged*" \
				crtool restore -d -D "$to"
			flip "$file" "$at"
			gone "$pid"
		done
	done
	crtool restore -vv -d -D "$to" 2>"$dir/said"
	grep -q 'shared memory .* pieces of page files are verified as they are read' "$dir/said"
	release
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
