/*
 * Shared anonymous memory: one object behind two mappings, holes, a part of it unmapped, and a page that
 * nobody has touched who still lives. With "renamed" it may have another name afterwards.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "maps.h"
#include "zdtm.h"

#define PAGE 4096UL
#define SIZE (256 * PAGE)

static struct maps before, after;

/* What was never touched takes no memory. */
static void check_holes(char *b)
{
	unsigned char present[SIZE / PAGE];

	check(mincore(b, SIZE, present) == 0);
	for (size_t i = 0; i < SIZE / PAGE; i++)
		check((present[i] & 1) == (i == 0 || i == 120 || i == 200));
}

static void touch_and_end(char *at)
{
	pid_t pid = fork();

	if (pid == 0) {
		*at = 'c';
		_exit(0);
	}
	check(waitpid(pid, NULL, 0) == pid);
}

int main(int argc, char **argv)
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
	touch_and_end(b + 120 * PAGE);
	check(mprotect(b, PAGE, PROT_READ) == 0);
	check_holes(b);
	maps_take(&before);

	zdtm_park();

	maps_take(&after);
	check(argc > 1 || maps_same(&before, &after));
	check_holes(b);
	check(b[120 * PAGE] == 'c');
	check(b[0] == 'a' && a[200 * PAGE] == 'z' && b[PAGE] == 0);
	b[150 * PAGE] = 'm';
	check(a[150 * PAGE] == 'm');
	return zdtm_pass();
}
