/* Huge pages of hugetlbfs, private and shared, anonymous and a memfd. Exits with 77 when there are none. */
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "maps.h"
#include "zdtm.h"

#define HUGE (2UL << 20)

static struct maps before, after;

static char *map(int flags, int fd)
{
	char *p = mmap(NULL, 2 * HUGE, PROT_READ | PROT_WRITE, flags, fd, 0);

	if (p == MAP_FAILED)
		_exit(77);
	p[HUGE + 4096] = 'h';
	return p;
}

int main(void)
{
	int fd = memfd_create("huge", MFD_HUGETLB);
	char *p[4];

	check(fd >= 0 && ftruncate(fd, 2 * HUGE) == 0);
	p[0] = map(MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1);
	p[1] = map(MAP_SHARED | MAP_ANONYMOUS | MAP_HUGETLB, -1);
	p[2] = map(MAP_SHARED, fd);
	p[3] = map(MAP_PRIVATE, fd);
	p[3][0] = 'p';
	maps_take(&before);

	zdtm_park();

	maps_take(&after);
	check(maps_same(&before, &after));
	for (int i = 0; i < 4; i++)
		check(p[i][HUGE + 4096] == 'h' && p[i][HUGE] == 0);
	check(p[3][0] == 'p' && p[2][0] == 0);
	return zdtm_pass();
}
