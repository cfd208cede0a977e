/* File mappings: private ones keep their changes, shared ones are the file. */
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "maps.h"
#include "zdtm.h"

#define PAGE  4096UL
#define PAGES 16UL

static struct maps before, after;

static char *map(int fd, int prot, int flags)
{
	char *p = mmap(NULL, PAGES * PAGE, prot, flags, fd, 0);

	check(p != MAP_FAILED);
	return p;
}

int main(void)
{
	int fd = open("mapped", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	char *priv, *clean, *zeroed, *shared;
	char page[PAGE];

	check(fd >= 0);
	memset(page, 'f', PAGE);
	for (size_t i = 0; i < PAGES; i++)
		check(write(fd, page, PAGE) == PAGE);
	priv = map(fd, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	clean = map(fd, PROT_READ, MAP_PRIVATE);
	zeroed = map(fd, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	shared = map(fd, PROT_READ | PROT_WRITE, MAP_SHARED);
	close(fd);
	priv[3 * PAGE] = 'p';
	memset(zeroed, 0, PAGE);
	check(mprotect(zeroed, PAGES * PAGE, PROT_READ) == 0);
	shared[0] = 's';
	check(clean[0] == 's');
	maps_take(&before);

	zdtm_park();

	maps_take(&after);
	check(maps_same(&before, &after));
	check(priv[3 * PAGE] == 'p' && priv[3 * PAGE + 1] == 'f' && priv[4 * PAGE] == 'f');
	check(clean[0] == 's' && clean[1] == 'f');
	for (size_t i = 0; i < PAGE; i++)
		check(zeroed[i] == 0);
	check(zeroed[PAGE] == 'f');
	shared[1] = 't';
	check(clean[1] == 't' && shared[0] == 's');
	return zdtm_pass();
}
