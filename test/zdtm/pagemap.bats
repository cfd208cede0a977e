# Kernels before 6.7 have no PAGEMAP_SCAN: pages are found by reading pagemap.
load lib/zdtm

@test "without PAGEMAP_SCAN: memory of threads, the heap far from the stacks" {
	dump_without PAGEMAP_SCAN thread
}

@test "without PAGEMAP_SCAN: private memory, and what two processes share" {
	dump_without PAGEMAP_SCAN memory rw
	dump_without PAGEMAP_SCAN memory_fork
}
