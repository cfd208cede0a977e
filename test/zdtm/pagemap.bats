# Kernels before 6.7 have no PAGEMAP_SCAN: pages are found by reading pagemap.
load lib/zdtm

without_scan() {
	"$BUILD/test/fault/without" PAGEMAP_SCAN timeout 30 "$BUILD/crtool" "$@" 3>&- 4>&-
}

# carry_without_scan VICTIM [args]
carry_without_scan() {
	local to

	to=$(images)
	park "$@"
	without_scan dump -R -t "$pid" -D "$(images)"
	without_scan dump -t "$pid" -D "$to"
	within 5 gone "$pid"
	crtool restore -d -D "$to"
	release
}

@test "without PAGEMAP_SCAN: memory of threads, the heap far from the stacks" {
	carry_without_scan thread
}

@test "without PAGEMAP_SCAN: private memory, and what two processes share" {
	carry_without_scan memory rw
	carry_without_scan memory_fork
}
