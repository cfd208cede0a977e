/* What madvise(2), mlock(2) and flags of mmap(2) say of memory. */
#include <linux/mman.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "maps.h"
#include "zdtm.h"

#ifndef MAP_DROPPABLE
#define MAP_DROPPABLE 0x08
#endif

#ifndef PR_SET_VMA
#define PR_SET_VMA           0x53564d41
#define PR_SET_VMA_ANON_NAME 0
#endif

#define PAGE 4096UL
#define SIZE (16 * PAGE)

static struct maps before, after;

static char *map(int flags)
{
	char *p = mmap(NULL, SIZE, PROT_READ | PROT_WRITE,
	               (flags & MAP_DROPPABLE ? 0 : MAP_PRIVATE) | MAP_ANONYMOUS | flags, -1, 0);

	check(p != MAP_FAILED);
	/* A neighbour that would merge says nothing of the flags. */
	check(mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED);
	memset(p, 'x', SIZE / 2);
	return p;
}

int main(void)
{
	static const int advices[] = { MADV_DONTFORK,   MADV_WIPEONFORK, MADV_DONTDUMP,
		                       MADV_HUGEPAGE,   MADV_NOHUGEPAGE, MADV_MERGEABLE,
		                       MADV_SEQUENTIAL, MADV_RANDOM };
	char *plain = map(0), *p;

	for (size_t i = 0; i < sizeof(advices) / sizeof(*advices); i++)
		check(madvise(map(0), SIZE, advices[i]) == 0);
	map(MAP_NORESERVE);
	map(MAP_GROWSDOWN);
	map(MAP_STACK);
	check(mlock(map(0), SIZE) == 0);
	check(mlock2(map(0), SIZE, MLOCK_ONFAULT) == 0);
	/* Where the kernel has names (CONFIG_ANON_VMA_NAME). */
	prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, map(0), SIZE, "a name");
	p = map(0);
	check(mlock(p, SIZE) == 0 && mprotect(p, SIZE, PROT_NONE) == 0);
	if (mmap(NULL, PAGE, PROT_READ, MAP_DROPPABLE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED)
		map(MAP_DROPPABLE);
	maps_take(&before);

	zdtm_park();

	maps_take(&after);
	check(maps_same(&before, &after));
	check(plain[0] == 'x' && plain[SIZE - 1] == 0);
	return zdtm_pass();
}
