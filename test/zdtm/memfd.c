/*
 * A memfd: content, holes, odd size, name, mode, seals, position; the same memory when mapped. "path": two that
 * are open with O_PATH, one of them nowhere else.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "maps.h"
#include "zdtm.h"

#define PAGE  4096UL
#define SIZE  (64 * PAGE + 100)
#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL)

static struct maps before, after;

static int opened(int fd, int flags)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	fd = open(path, flags);
	check(fd >= 0);
	return fd;
}

static int by_path(void)
{
	int fd = memfd_create("open", 0), gone = memfd_create("gone", 0), path[2];
	char c = 0;

	check(write(fd, "open", 4) == 4 && write(gone, "gone", 4) == 4);
	path[0] = opened(fd, O_PATH);
	path[1] = opened(gone, O_PATH);
	check(close(gone) == 0);

	zdtm_park();

	check(fcntl(path[0], F_GETFL) & O_PATH && fcntl(path[1], F_GETFL) & O_PATH);
	check(pread(opened(path[1], O_RDONLY), &c, 1, 0) == 1 && c == 'g');
	check(pwrite(fd, "O", 1, 0) == 1 && lseek(fd, 0, SEEK_CUR) == 4);
	check(pread(opened(path[0], O_RDONLY), &c, 1, 0) == 1 && c == 'O');
	return zdtm_pass();
}

int main(int argc, char **argv)
{
	int fd = memfd_create("a name", MFD_ALLOW_SEALING | MFD_CLOEXEC);
	int plain = memfd_create("plain", 0), ro;
	char *p, *q, c = 0;
	struct stat st;

	if (argc > 1)
		return by_path();
	check(fd >= 0 && plain >= 0);
	check(ftruncate(fd, SIZE) == 0 && fchmod(fd, 0640) == 0);
	check(pwrite(fd, "x", 1, 40 * PAGE) == 1 && pwrite(fd, "e", 1, SIZE - 1) == 1);
	p = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	q = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	check(p != MAP_FAILED && q != MAP_FAILED);
	q[40 * PAGE] = 'q';
	check(fcntl(fd, F_ADD_SEALS, SEALS) == 0);
	ro = open("/proc/self/fd/3", O_RDONLY);
	check(ro >= 0 && lseek(ro, 17, SEEK_SET) == 17);
	maps_take(&before);

	zdtm_park();

	maps_take(&after);
	check(maps_same(&before, &after));
	check(fstat(fd, &st) == 0 && st.st_size == SIZE && (st.st_mode & 07777) == 0640);
	check(st.st_blocks == 2 * PAGE / 512);
	check(fcntl(fd, F_GET_SEALS) == SEALS && fcntl(plain, F_GET_SEALS) == F_SEAL_SEAL);
	check(fcntl(ro, F_GETFL) == (O_RDONLY | 0100000) && lseek(ro, 0, SEEK_CUR) == 17);
	check(q[40 * PAGE] == 'q' && p[40 * PAGE] == 'x' && p[SIZE - 1] == 'e' && p[0] == 0);
	p[1] = 'w';
	check(pread(ro, &c, 1, 1) == 1 && c == 'w' && q[1] == 'w');
	check(ftruncate(plain, PAGE) == 0 && pwrite(plain, "x", 1, 0) == 1);
	return zdtm_pass();
}
