/*
 * What this kernel may be built without, tried on a page of our own: names of
 * anonymous memory, KSM, transparent huge pages. They change what memory costs
 * and how it is shown, never what it holds, so a restore goes on without them,
 * and says so.
 */
#include <errno.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "lib/log.h"
#include "restore/memory.h"

#ifndef PR_SET_VMA
#define PR_SET_VMA           0x53564d41
#define PR_SET_VMA_ANON_NAME 0
#endif

enum extra { EXTRA_NAME, EXTRA_MERGEABLE, EXTRA_HUGEPAGE, EXTRAS };

static const char *const what[EXTRAS] = {
	[EXTRA_NAME] = "the names of its anonymous memory (CONFIG_ANON_VMA_NAME)",
	[EXTRA_MERGEABLE] = "advice to merge equal pages (CONFIG_KSM)",
	[EXTRA_HUGEPAGE] = "advice to use huge pages (CONFIG_TRANSPARENT_HUGEPAGE)",
};

static bool has(const Img__Vma *v, enum extra x)
{
	switch (x) {
	case EXTRA_NAME:
		return *v->name;
	case EXTRA_MERGEABLE:
		return v->traits & IMG__VMA__TRAIT__MERGEABLE;
	default:
		return v->traits & IMG__VMA__TRAIT__HUGEPAGE;
	}
}

static bool wanted(const Img__Memory *m, enum extra x)
{
	for (size_t i = 0; i < m->n_vmas; i++)
		if (has(m->vmas[i], x))
			return true;
	return false;
}

static bool works(enum extra x)
{
	size_t size = (size_t)sysconf(_SC_PAGESIZE);
	void *page = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int r;

	if (page == MAP_FAILED)
		return true; /* it will be tried in the task itself */
	if (x == EXTRA_NAME)
		r = prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, page, size, "probe");
	else
		r = madvise(page, size, x == EXTRA_MERGEABLE ? MADV_MERGEABLE : MADV_HUGEPAGE);
	munmap(page, size);
	return r == 0 || errno != EINVAL;
}

void memory_probe(uint32_t pid, const Img__Memory *m)
{
	for (enum extra x = 0; x < EXTRAS; x++)
		if (wanted(m, x) && !works(x))
			lose("task %u: %s: this kernel does not have it", pid, what[x]);
}
