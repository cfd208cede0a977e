/* POSIX semaphores and shared memory of /dev/shm, with a name and without, with one who waits. */
#include <fcntl.h>
#include <semaphore.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "zdtm.h"

#define SIZE 8192

static char *map(const char *name, bool keep)
{
	int fd = shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0600);
	char *at;

	check(fd >= 0 && ftruncate(fd, SIZE) == 0);
	at = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	check(at != MAP_FAILED && close(fd) == 0);
	check(keep || shm_unlink(name) == 0);
	return at;
}

int main(int argc, char **argv)
{
	char named[64], gone[64], memory[64], lost[64], *kept, *deleted;
	sem_t *a, *b;
	int status, value;
	pid_t child;

	check(argc == 2); /* what the names begin with */
	snprintf(named, sizeof(named), "/%s-%d-a", argv[1], getpid());
	snprintf(gone, sizeof(gone), "/%s-%d-b", argv[1], getpid());
	snprintf(memory, sizeof(memory), "/%s-%d-c", argv[1], getpid());
	snprintf(lost, sizeof(lost), "/%s-%d-d", argv[1], getpid());
	a = sem_open(named, O_CREAT | O_EXCL, 0600, 2);
	b = sem_open(gone, O_CREAT | O_EXCL, 0600, 0);
	check(a != SEM_FAILED && b != SEM_FAILED && sem_unlink(gone) == 0);
	kept = map(memory, true), deleted = map(lost, false);
	strcpy(kept, "kept"), strcpy(deleted, "deleted");
	child = fork();
	check(child >= 0);
	if (!child) {
		check(sem_wait(b) == 0);
		_exit(strcmp(deleted, "changed") ? 1 : 0);
	}

	zdtm_park();

	check(!strcmp(kept, "kept") && !strcmp(deleted, "deleted"));
	strcpy(deleted, "changed");
	check(waitpid(child, &status, WNOHANG) == 0 && sem_post(b) == 0);
	check(waitpid(child, &status, 0) == child && status == 0);
	check(sem_getvalue(a, &value) == 0 && value == 2);
	check(sem_wait(a) == 0 && sem_getvalue(sem_open(named, 0), &value) == 0 && value == 1);
	check(sem_unlink(named) == 0 && shm_unlink(memory) == 0);
	return zdtm_pass();
}
