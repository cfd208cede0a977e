/* Private memory in all protections, with what is in it. The argument says which. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "maps.h"
#include "zdtm.h"

#define PAGE 4096UL
#define SIZE (64 * PAGE)

static struct maps before, after;

static char *map(int prot, int flags)
{
	char *p = mmap(NULL, SIZE, prot, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);

	check(p != MAP_FAILED);
	return p;
}

/* Every third page has content. */
static void fill(char *p)
{
	for (size_t i = 0; i < SIZE; i += 3 * PAGE)
		memset(p + i, (int)(i / PAGE) + 1, PAGE);
}

static void verify(const char *p)
{
	for (size_t i = 0; i < SIZE; i++)
		check(p[i] == (char)(i / PAGE % 3 ? 0 : i / PAGE + 1));
}

int main(int argc, char **argv)
{
	const char *how = argc > 1 ? argv[1] : "rw";
	char *p = map(PROT_READ | PROT_WRITE, 0), *heap = sbrk(0);

	fill(p);
	if (!strcmp(how, "r"))
		check(mprotect(p, SIZE, PROT_READ) == 0);
	else if (!strcmp(how, "none"))
		check(mprotect(p, SIZE, PROT_NONE) == 0);
	else if (!strcmp(how, "rx"))
		check(mprotect(p, SIZE, PROT_READ | PROT_EXEC) == 0);
	else if (!strcmp(how, "x"))
		check(mprotect(p, SIZE, PROT_EXEC) == 0);
	else if (!strcmp(how, "mixed"))
		for (size_t i = 0; i < SIZE; i += 2 * PAGE)
			check(mprotect(p + i, PAGE, PROT_NONE) == 0);
	maps_take(&before);

	zdtm_park();

	maps_take(&after);
	check(maps_same(&before, &after));
	check(sbrk(0) == heap);
	check(sbrk(PAGE) == heap);
	check(mprotect(p, SIZE, PROT_READ | PROT_WRITE) == 0);
	verify(p);
	fill(p);
	return zdtm_pass();
}
