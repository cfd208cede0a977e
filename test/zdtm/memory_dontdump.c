/*
 * Memory that is marked MADV_DONTDUMP: kept, or with the argument "wiped" zero afterwards.
 * "shared" is refused then. A child that was forked takes the mark away from its own.
 */
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "zdtm.h"

#define PAGE 4096UL
#define SIZE (64 * PAGE)

static char *map(int flags)
{
	char *p = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | flags, -1, 0);

	check(p != MAP_FAILED);
	memset(p, 'x', SIZE);
	return p;
}

static bool is_all(const char *p, char c)
{
	for (size_t i = 0; i < SIZE; i++)
		if (p[i] != c)
			return false;
	return true;
}

/* It holds what its parent has wiped; it ends when it has looked. */
static pid_t child_start(char *secret, int *ret_fd)
{
	int fds[2];
	pid_t pid;
	char c;

	check(pipe(fds) == 0);
	pid = fork();
	check(pid >= 0);
	if (pid == 0) {
		close(fds[1]);
		madvise(secret, SIZE, MADV_DODUMP);
		_exit(read(fds[0], &c, 1) != 1 || !is_all(secret, 'x'));
	}
	close(fds[0]);
	*ret_fd = fds[1];
	return pid;
}

int main(int argc, char **argv)
{
	bool wiped = argc > 1 && !strcmp(argv[1], "wiped");
	bool shared = argc > 1 && !strcmp(argv[1], "shared");
	char *public = map(MAP_PRIVATE), *secret = map(shared ? MAP_SHARED : MAP_PRIVATE);
	int fd, status;
	pid_t child = child_start(secret, &fd);

	check(madvise(secret, SIZE, MADV_DONTDUMP) == 0);

	zdtm_park();

	check(is_all(public, 'x'));
	check(is_all(secret, wiped ? 0 : 'x'));
	check(write(fd, "x", 1) == 1);
	check(waitpid(child, &status, 0) == child && status == 0);
	return zdtm_pass();
}
