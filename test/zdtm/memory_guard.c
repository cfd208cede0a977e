/* Guard regions and sealed memory. */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "maps.h"
#include "zdtm.h"

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif
#define PAGE 4096UL
#define SIZE (16 * PAGE)

static struct maps before, after;

static char *map(void)
{
	char *p = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	check(p != MAP_FAILED);
	check(mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED);
	memset(p, 'x', SIZE);
	return p;
}

/* write(2) reads it for us, and tells. */
static bool is_guard(const char *p)
{
	int fds[2];
	bool guard;

	check(pipe(fds) == 0);
	guard = write(fds[1], p, 1) < 0 && errno == EFAULT;
	close(fds[0]);
	close(fds[1]);
	return guard;
}

int main(void)
{
	char *sealed = map(), *p;

	/* Different from its neighbour before that has guards: the flag would come along. */
	check(mprotect(sealed, SIZE, PROT_READ) == 0);
	p = map();
	if (madvise(p + 4 * PAGE, 2 * PAGE, MADV_GUARD_INSTALL) < 0 && errno == EINVAL)
		return 77; /* before Linux 6.13 */
	check(madvise(p + 9 * PAGE, PAGE, MADV_GUARD_INSTALL) == 0);
	check(syscall(462 /* mseal */, sealed, SIZE, 0) == 0);
	maps_take(&before);

	zdtm_park();

	maps_take(&after);
	check(maps_same(&before, &after));
	for (size_t i = 0; i < SIZE; i += PAGE) {
		check(is_guard(p + i) == (i == 4 * PAGE || i == 5 * PAGE || i == 9 * PAGE));
		check(is_guard(p + i) || p[i] == 'x');
		check(sealed[i] == 'x');
	}
	check(munmap(sealed, SIZE) < 0 && errno == EPERM);
	return zdtm_pass();
}
