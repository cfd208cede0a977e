/*
 * Many processes that are mostly what their parent was: what few of them have besides stays theirs. With "late" they
 * change when somebody makes the file "change", and say so by "changed".
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "maps.h"
#include "zdtm.h"

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif

#define CHILDREN 88
#define PAGE     4096UL

enum { FILE_FD = 40, DUP_FD, PATH_FD, SHARED_FD, OWN_FD, FDS };

/* What child number I does. */
enum { NOTHING, PROTECTS, GUARDS, OPENS, LOCKS, EXECS, CLOSES, MOVES, LIMITS, WRITES, TIMES, WAYS };

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
	char cwd[256], filter[16], oom[16];
	struct rlimit limit;
	int timer;
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

static void read_proc(const char *path, char text[static 16])
{
	int fd = open(path, O_RDONLY);

	check(fd >= 0 && read(fd, text, 15) > 0 && close(fd) == 0);
}

static void write_proc(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);

	check(fd >= 0 && write(fd, text, strlen(text)) > 0 && close(fd) == 0);
}

static void take(struct state *s)
{
	struct itimerspec left;

	memset(s, 0, sizeof(*s));
	check(getcwd(s->cwd, sizeof(s->cwd)));
	read_proc("/proc/self/coredump_filter", s->filter);
	read_proc("/proc/self/oom_score_adj", s->oom);
	check(getrlimit(RLIMIT_CORE, &s->limit) == 0);
	s->timer = syscall(SYS_timer_gettime, 0, &left) == 0;
	for (int fd = 0; fd < FDS; fd++) {
		s->flags[fd] = fcntl(fd, F_GETFD);
		if (s->flags[fd] >= 0)
			check(fstat(fd, &s->st[fd]) == 0);
	}
	s->at = lseek(FILE_FD, 0, SEEK_CUR);
}

static bool same(void)
{
	if (strcmp(was.cwd, is.cwd) != 0 || strcmp(was.filter, is.filter) != 0 ||
	    strcmp(was.oom, is.oom) != 0 || was.limit.rlim_cur != is.limit.rlim_cur ||
	    was.timer != is.timer)
		return false;
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
	struct sigevent quiet = { .sigev_notify = SIGEV_NONE };
	char number[16];
	timer_t timer;

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
	case MOVES:
		check(chdir("sub") == 0);
		break;
	case LIMITS:
		check(setrlimit(RLIMIT_CORE, &(struct rlimit){ (rlim_t)i * 4096, 1 << 20 }) == 0);
		break;
	case WRITES:
		write_proc("/proc/self/coredump_filter", "0x7");
		write_proc("/proc/self/oom_score_adj", "321");
		break;
	case TIMES:
		check(timer_create(CLOCK_MONOTONIC, &quiet, &timer) == 0);
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

	check(mkdir("sub", 0700) == 0);
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
