load lib/zdtm

@test "much memory comes back as it was, among threads" { zdtm memory_large; }

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
