/* dump/pagemap.c, on ourselves; both ways must see the same. */
#include "dump/pagemap.c"

#include <fcntl.h>
#include <sys/mman.h>

#include "unit.h"

#define PAGES 20000ul

typedef int find_fn(int pagemap, enum pagemap_query query, uint64_t *at, uint64_t end,
                    struct page_region *ret, size_t max);

/* A mapping with every STRIDE-th page touched. */
static char *stripes(size_t stride)
{
	char *p = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
	               0);

	check(p != MAP_FAILED);
	check(madvise(p, PAGES * PAGE, MADV_NOHUGEPAGE) == 0);
	for (size_t i = 0; i < PAGES; i += stride)
		p[i * PAGE] = 1;
	return p;
}

/* Every stripe is found once and in order, MAX at a time. */
static void stripes_check(find_fn *find, size_t stride, size_t max)
{
	static struct page_region regions[4096];
	char *p = stripes(stride);
	uint64_t at = (uintptr_t)p, end = at + PAGES * PAGE, next = at;
	int pagemap = open("/proc/self/pagemap", O_RDONLY);

	check(pagemap >= 0);
	while (at < end) {
		int n = find(pagemap, PAGEMAP_ANON, &at, end, regions, max);

		check(n >= 0);
		for (int i = 0; i < n; i++) {
			check(regions[i].start == next && regions[i].end == next + PAGE);
			next += stride * PAGE;
		}
	}
	check(next >= end);
	close(pagemap);
	munmap(p, PAGES * PAGE);
}

TEST(all_regions_are_found_whatever_the_buffer)
{
	static const size_t max[] = { 1, 7, 511, 512, 513, 1024, 2048, 4096 };

	for (size_t i = 0; i < sizeof(max) / sizeof(*max); i++) {
		stripes_check(pagemap_find, 2, max[i]);
		stripes_check(pagemap_find, 5, max[i]);
	}
}

TEST(a_kernel_without_the_ioctl_finds_the_same)
{
	stripes_check(find_by_read, 2, 512);
	stripes_check(find_by_read, 3, 4096);
}

TEST(a_page_is_clean_only_where_it_certainly_holds_data_of_the_program)
{
	const uint64_t clean = PM_PRESENT | PM_ALONE;

	check(is_clean(clean) && is_clean(clean | 42));
	check(!is_clean(clean | PM_DIRTY) && !is_clean(clean | PM_FILE));
	check(!is_clean(PM_ALONE) && !is_clean(PM_SWAPPED | PM_ALONE));
	check(!is_clean(PM_PRESENT | 42)); /* it may be the page of zeros */
}

TEST(neighbours_are_one_region)
{
	struct page_region regions[4];
	char *p = stripes(1);
	uint64_t at = (uintptr_t)p;
	int pagemap = open("/proc/self/pagemap", O_RDONLY);

	check(pagemap_find(pagemap, PAGEMAP_ANON, &at, at + 100 * PAGE, regions, 4) == 1);
	check(regions[0].start == (uintptr_t)p && regions[0].end == (uintptr_t)p + 100 * PAGE);
}

TEST(read_pages_of_zeros_and_guards_are_no_data)
{
	struct page_region regions[4];
	char *p = mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t at = (uintptr_t)p, end = at + 8 * PAGE;
	int pagemap = open("/proc/self/pagemap", O_RDONLY);

	check(madvise(p, 8 * PAGE, MADV_NOHUGEPAGE) == 0);
	check(*(volatile char *)p == 0);
	if (madvise(p + 2 * PAGE, 3 * PAGE, 102 /* MADV_GUARD_INSTALL */) < 0)
		skip("no guard regions");
	check(pagemap_find(pagemap, PAGEMAP_ANON, &at, end, regions, 4) == 0 && at == end);
	at = (uintptr_t)p;
	check(pagemap_find(pagemap, PAGEMAP_GUARD, &at, end, regions, 4) == 1);
	check(regions[0].start == (uintptr_t)p + 2 * PAGE);
	check(regions[0].end == (uintptr_t)p + 5 * PAGE);
}

TEST(the_page_of_zeros_is_known_where_frames_are_shown)
{
	const char *page = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t entry, frame = pagemap_zero_frame();
	int pagemap = open("/proc/self/pagemap", O_RDONLY);

	check(page != MAP_FAILED && !*page && pagemap >= 0);
	check(pread(pagemap, &entry, 8, (off_t)((uintptr_t)page / PAGE * 8)) == 8);
	check(pagemap_is_shared(entry) && frame == (entry & PM_FRAME));
	close(pagemap);
	munmap((void *)page, PAGE);
}
