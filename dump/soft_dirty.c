#include "dump/soft_dirty.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>

#include "dump/pagemap.h"
#include "lib/cleanup.h"
#include "lib/fd.h"

#define PAGE 4096

int soft_dirty_clear(int proc)
{
	return file_write(proc, "clear_refs", "4");
}

/* Is the page at AT of ours one that was not written to? */
static bool is_clean(int pagemap, const volatile char *at)
{
	uint64_t start = (uint64_t)at, end = start + PAGE;
	struct page_region region;

	return pagemap_find(pagemap, PAGEMAP_CLEAN, &start, end, &region, 1) == 1;
}

static bool try_page(int proc, int pagemap, volatile char *page)
{
	*page = 1;
	if (is_clean(pagemap, page) || soft_dirty_clear(proc) < 0 || !is_clean(pagemap, page))
		return false;
	*page = 2;
	return !is_clean(pagemap, page);
}

bool soft_dirty_works(struct soft_dirty *s)
{
	auto_close int proc = -1, pagemap = -1;
	char *page;

	if (s->known)
		return s->works;
	s->known = true;
	proc = open("/proc/self", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	pagemap = openat(proc, "pagemap", O_RDONLY | O_CLOEXEC);
	page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (page == MAP_FAILED)
		return false;
	s->works = pagemap >= 0 && try_page(proc, pagemap, page);
	munmap(page, PAGE);
	return s->works;
}
