/* Two processes: what they share stays shared, what they do not does not; the stack still grows. */
#include <alloca.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "zdtm.h"

#define SIZE (1UL << 20)

static char *map(int flags, int fd)
{
	char *p = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, flags, fd, 0);

	check(p != MAP_FAILED);
	memset(p, 'x', SIZE / 2);
	return p;
}

/* A few MiB deeper than it ever was. */
static void grow_stack(void)
{
	volatile char *p = alloca(4 * SIZE);

	for (size_t i = 4 * SIZE; i > 0; i -= 4096)
		p[i - 1] = 1;
}

int main(void)
{
	int fd = memfd_create("both", 0), status;
	char *anon = map(MAP_SHARED | MAP_ANONYMOUS, -1),
	     *priv = map(MAP_PRIVATE | MAP_ANONYMOUS, -1);
	char *memfd;
	pid_t pid;

	check(ftruncate(fd, SIZE) == 0);
	memfd = map(MAP_SHARED, fd);
	close(fd);
	pid = fork();
	check(pid >= 0);
	priv[0] = pid ? 'p' : 'c';
	if (pid == 0) {
		while (anon[0] != 'g')
			usleep(1000);
		anon[1] = memfd[1] = 'c';
		_exit(priv[0] != 'c');
	}

	zdtm_park();

	grow_stack();
	anon[0] = 'g';
	check(waitpid(pid, &status, 0) == pid && status == 0);
	check(anon[1] == 'c' && memfd[1] == 'c' && priv[0] == 'p');
	check(anon[SIZE / 2 - 1] == 'x' && anon[SIZE - 1] == 0);
	return zdtm_pass();
}
