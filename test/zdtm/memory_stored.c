/*
 * Much memory of which little has to be stored: file mappings of which a few pages differ from the file, pages that
 * were only read, pages that hold nothing but zeros, memory that was never touched.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "zdtm.h"

#define PAGE 4096UL
#define SIZE (16UL << 20)

static char *map(int fd, int flags)
{
	char *p = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, flags | (fd < 0 ? MAP_ANONYMOUS : 0), fd,
	               0);

	check(p != MAP_FAILED);
	return p;
}

static long sum(const char *p)
{
	long all = 0;

	for (size_t i = 0; i < SIZE; i += PAGE / 2)
		all += p[i];
	return all;
}

static bool is_zero(const char *p)
{
	for (size_t i = 0; i < SIZE; i++)
		if (p[i])
			return false;
	return true;
}

int main(void)
{
	static char block[64 * 1024];
	int fd = open("data", O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	char *file, *shared, *read_only, *zeros, *shared_zeros, *untouched;
	long before;

	memset(block, 'f', sizeof(block));
	for (size_t i = 0; i < SIZE; i += sizeof(block))
		check(write(fd, block, sizeof(block)) == sizeof(block));
	file = map(fd, MAP_PRIVATE);
	shared = map(fd, MAP_SHARED);
	read_only = map(-1, MAP_PRIVATE);
	zeros = map(-1, MAP_PRIVATE);
	shared_zeros = map(-1, MAP_SHARED);
	untouched = map(-1, MAP_PRIVATE);
	for (size_t i = 0; i < 5; i++)
		file[i * 100 * PAGE] = 'p';
	shared[7] = 's';
	before = sum(file);
	check(sum(shared) && is_zero(read_only));
	memset(zeros, 0, SIZE);
	memset(shared_zeros, 0, SIZE);
	untouched[SIZE / 2] = 'u';

	zdtm_park();

	check(sum(file) == before && file[100 * PAGE] == 'p' && file[7] == 'f');
	check(shared[7] == 's' && shared[100 * PAGE] == 'f');
	check(is_zero(read_only) && is_zero(zeros) && is_zero(shared_zeros));
	check(untouched[SIZE / 2] == 'u' && untouched[SIZE / 2 - 1] == 0);
	return zdtm_pass();
}
