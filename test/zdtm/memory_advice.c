/*
 * What madvise(2), mlock(2) and flags of mmap(2) say of memory. With "late" some of it changes when somebody makes the
 * file "change", which is said by "changed".
 */
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

#define DEPTH 4

static struct maps before, after;
static const char *kept[32];
static size_t nkept;

static char *map(int flags)
{
	char *p = mmap(NULL, SIZE, PROT_READ | PROT_WRITE,
	               (flags & MAP_DROPPABLE ? 0 : MAP_PRIVATE) | MAP_ANONYMOUS | flags, -1, 0);

	check(p != MAP_FAILED);
	/* A neighbour that would merge says nothing of the flags. */
	check(mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED);
	memset(p, 'x', SIZE / 2);
	if (!(flags & MAP_DROPPABLE))
		kept[nkept++] = p;
	return p;
}

static void check_content(void)
{
	for (size_t i = 0; i < nkept; i++)
		for (size_t at = 0; at < SIZE; at += PAGE / 2)
			check(kept[i][at] == (at < SIZE / 2 ? 'x' : 0));
}

/* Has room below it, and has grown there already. The address of its first page. */
static char *map_growing(void)
{
	char *p = mmap(NULL, 1024 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	check(p != MAP_FAILED && munmap(p, 1024 * PAGE) == 0);
	p = mmap(p + 1022 * PAGE, 2 * PAGE, PROT_READ | PROT_WRITE,
	         MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN | MAP_FIXED_NOREPLACE, -1, 0);
	check(p != MAP_FAILED);
	for (int i = 1; i <= DEPTH; i++)
		p[-i * (long)PAGE] = (char)('0' + i);
	return p;
}

static void check_growing(char *p)
{
	for (int i = 1; i <= DEPTH; i++)
		check(p[-i * (long)PAGE] == (char)('0' + i));
	for (int i = 1; i <= 8 * DEPTH; i++)
		p[-i * (long)PAGE] = 'g';
}

/* The stack itself, too. */
static int deep(int n)
{
	volatile char page[4096];

	page[0] = (char)n;
	return n ? deep(n - 1) + page[0] - (char)n : 0;
}

/*
 * So much that crtool does not walk its page tables while it stands still. No neighbour is like it, with which
 * it would be one mapping after a restore.
 */
static void become_large(void)
{
	size_t size = 288UL << 20, huge = 2UL << 20;
	char *p = mmap(NULL, size + 2 * huge, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	check(p != MAP_FAILED);
	p += huge;
	check(mprotect(p, size, PROT_READ | PROT_WRITE) == 0);
	check(madvise(p, size, MADV_HUGEPAGE) == 0);
	for (size_t i = 0; i < size; i += PAGE)
		p[i] = 0;
}

/* More mappings than crtool likes to have smaps tell of. */
static void become_many(void)
{
	size_t n = 2500, each = 2 * PAGE;
	char *p = mmap(NULL, (n + 2) * each, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	check(p != MAP_FAILED);
	for (size_t i = 1; i <= n; i++) {
		check(mprotect(p + i * each, each, PROT_READ | PROT_WRITE) == 0);
		memset(p + i * each, 'm', each);
		check(i % 2 || mprotect(p + i * each, each, PROT_READ) == 0);
	}
}

/* P, which nobody has advised anything of. */
static void wait_and_change(char *p)
{
	zdtm_parked();
	while (!zdtm_released()) {
		if (access("change", F_OK) == 0 && access("changed", F_OK) != 0) {
			check(madvise(p, SIZE, MADV_DONTFORK) == 0);
			check(mprotect(p + SIZE / 2, SIZE / 2, PROT_READ) == 0);
			maps_take(&before);
			close(open("changed", O_RDWR | O_CREAT, 0600));
		}
		zdtm_nap();
	}
}

int main(int argc, char **argv)
{
	static const int advices[] = { MADV_DONTFORK,   MADV_WIPEONFORK, MADV_DONTDUMP,
		                       MADV_HUGEPAGE,   MADV_NOHUGEPAGE, MADV_MERGEABLE,
		                       MADV_SEQUENTIAL, MADV_RANDOM };
	char *plain = map(0), *p, *growing;

	if (argc > 1)
		(!strcmp(argv[1], "large") ? become_large : become_many)();
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
	nkept--;
	/* Stays accounted, as it was touched. */
	p = map(0);
	check(madvise(p, SIZE, MADV_DONTNEED) == 0 && mprotect(p, SIZE, PROT_READ) == 0);
	nkept--;
	if (mmap(NULL, PAGE, PROT_READ, MAP_DROPPABLE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED)
		map(MAP_DROPPABLE);
	growing = map_growing();
	maps_take(&before);

	if (argc > 1 && !strcmp(argv[1], "late"))
		wait_and_change(plain);
	else
		zdtm_park();

	maps_take(&after);
	check(maps_same(&before, &after));
	check(plain[0] == 'x' && plain[SIZE - 1] == 0);
	check_content();
	check_growing(growing);
	check(deep(300) == 0);
	return zdtm_pass();
}
