/*
 * Many processes that are mostly what their parent was: what few of them have besides stays theirs. With "late" they
 * change when somebody makes the file "change", and say so by "changed".
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "maps.h"
#include "zdtm.h"

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif

#define CHILDREN 84
#define PAGE     4096UL

enum { FILE_FD = 40, DUP_FD, PATH_FD, SHARED_FD, OWN_FD, FDS };

/* What child number I does. */
enum { NOTHING, PROTECTS, GUARDS, OPENS, LOCKS, EXECS, CLOSES, WAYS };

struct shared {
	int change, done, verify;
};

static struct shared *shared;
static struct maps before, after;
static char *page;

struct state {
	int flags[FDS];
	struct stat st[FDS];
	off_t at;
};

static struct state was, is;

static void add(int *word)
{
	__atomic_add_fetch(word, 1, __ATOMIC_SEQ_CST);
}

static bool reached(const int *word, int value)
{
	return __atomic_load_n(word, __ATOMIC_SEQ_CST) >= value;
}

static void await(const int *word, int value)
{
	while (!reached(word, value))
		zdtm_nap();
}

static void take(struct state *s)
{
	memset(s, 0, sizeof(*s));
	for (int fd = 0; fd < FDS; fd++) {
		s->flags[fd] = fcntl(fd, F_GETFD);
		if (s->flags[fd] >= 0)
			check(fstat(fd, &s->st[fd]) == 0);
	}
	s->at = lseek(FILE_FD, 0, SEEK_CUR);
}

static bool same(void)
{
	for (int fd = 3; fd < FDS; fd++)
		if (was.flags[fd] != is.flags[fd] ||
		    (fd != SHARED_FD && was.st[fd].st_ino != is.st[fd].st_ino))
			return false;
	return true;
}

static void lock(int i)
{
	struct flock l = { .l_type = F_WRLCK, .l_start = i, .l_len = 1 };

	check(fcntl(FILE_FD, F_SETLK, &l) == 0);
}

/* Does child number I, PID, hold it? */
static bool is_locked(int i, pid_t pid)
{
	struct flock l = { .l_type = F_WRLCK, .l_start = i, .l_len = 1 };

	check(fcntl(FILE_FD, F_GETLK, &l) == 0);
	return l.l_type == F_WRLCK && l.l_pid == pid;
}

static void change(int i)
{
	char number[16];

	switch (i % WAYS) {
	case PROTECTS:
		check(mprotect(page, PAGE, PROT_READ) == 0);
		check(madvise(page + 2 * PAGE, PAGE, MADV_DONTFORK) == 0);
		break;
	case GUARDS:
		check(madvise(page, PAGE, MADV_GUARD_INSTALL) == 0 || errno == EINVAL);
		break;
	case OPENS:
		check(close(FILE_FD) == 0);
		check(dup2(open("own", O_RDWR), FILE_FD) == FILE_FD && close(3) == 0);
		check(lseek(FILE_FD, 5, SEEK_SET) == 5);
		check(fcntl(DUP_FD, F_SETFD, FD_CLOEXEC) == 0);
		break;
	case LOCKS:
		lock(i);
		break;
	case EXECS:
		snprintf(number, sizeof(number), "%d", i);
		execl("/proc/self/exe", "together", "again", number, NULL);
		check(!"execl");
		break;
	case CLOSES:
		check(close(PATH_FD) == 0);
		check(open("own", O_PATH) == 3 && dup2(3, OWN_FD) == OWN_FD && close(3) == 0);
		break;
	}
}

static void changed(int i)
{
	take(&was);
	maps_take(&before);
	add(&shared->done);
	await(&shared->verify, 1);
	take(&is);
	maps_take(&after);
	check(same());
	check(maps_same(&before, &after));
	check(is.at == (i % WAYS == OPENS ? 5 : 7)); /* the offset is that of all */
	_exit(0);
}

static void child(int i)
{
	await(&shared->change, 1);
	change(i);
	changed(i);
}

static void *map_shared(void)
{
	void *p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, SHARED_FD, 0);

	check(p != MAP_FAILED);
	return p;
}

static void set_up(void)
{
	int memory = memfd_create("shared", 0);

	check(memory >= 0 && ftruncate(memory, PAGE) == 0);
	check(dup2(memory, SHARED_FD) == SHARED_FD && close(memory) == 0);
	shared = map_shared();
	check(dup2(open("file", O_RDWR | O_CREAT, 0600), FILE_FD) == FILE_FD);
	check(dup2(FILE_FD, DUP_FD) == DUP_FD && close(3) == 0);
	check(dup2(open("file", O_PATH), PATH_FD) == PATH_FD && close(3) == 0);
	check(close(open("own", O_RDWR | O_CREAT, 0600)) == 0);
	page = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	check(page != MAP_FAILED);
	memset(page, 'x', 4 * PAGE);
}

static void change_all(void)
{
	add(&shared->change);
	await(&shared->done, CHILDREN);
	close(open("changed", O_RDWR | O_CREAT, 0600));
}

int main(int argc, char **argv)
{
	pid_t pid[CHILDREN];
	int status;

	if (argc == 3) {
		shared = map_shared();
		changed(atoi(argv[2]));
	}
	set_up();
	for (int i = 0; i < CHILDREN; i++) {
		pid[i] = fork();
		if (pid[i] == 0)
			child(i);
	}
	if (argc < 2)
		change_all();
	zdtm_parked();
	while (!zdtm_released()) {
		if (!reached(&shared->change, 1) && access("change", F_OK) == 0)
			change_all();
		zdtm_nap();
	}
	check(lseek(FILE_FD, 7, SEEK_SET) == 7);
	for (int i = 0; i < CHILDREN; i++)
		check(is_locked(i, pid[i]) == (i % WAYS == LOCKS));
	add(&shared->verify);
	for (int i = 0; i < CHILDREN; i++)
		check(waitpid(pid[i], &status, 0) == pid[i] && status == 0);
	return zdtm_pass();
}
