/* Shared anonymous memory: one object behind two mappings, holes and a part of it unmapped. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "maps.h"
#include "zdtm.h"

#define PAGE 4096UL
#define SIZE (256 * PAGE)

static struct maps before, after;

int main(void)
{
	char *a = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	char *b;

	check(a != MAP_FAILED);
	a[0] = 'a';
	a[200 * PAGE] = 'z';
	/* mremap(2) of nothing makes a second mapping of the same pages. */
	b = mremap(a, 0, SIZE, MREMAP_MAYMOVE);
	check(b != MAP_FAILED && b[200 * PAGE] == 'z');
	check(munmap(a, 100 * PAGE) == 0);
	check(mprotect(b, PAGE, PROT_READ) == 0);
	maps_take(&before);

	zdtm_park();

	maps_take(&after);
	check(maps_same(&before, &after));
	check(b[0] == 'a' && a[200 * PAGE] == 'z' && b[PAGE] == 0);
	b[150 * PAGE] = 'm';
	check(a[150 * PAGE] == 'm');
	return zdtm_pass();
}
