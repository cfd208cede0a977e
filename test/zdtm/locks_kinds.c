/*
 * Locks of all sorts on files of all sorts: flock(2) of a directory, a deleted file, a memfd, a fifo, a file of
 * /proc; ranges with a hole; to read, by two processes and by two descriptions; by a process that has the file from
 * its parent; one that both share; and of a table of descriptors that two share, set by the one that has ended.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "zdtm.h"

static struct shared {
	int set, go;
} * shared;

static int file, others, both, hers;

static int make(const char *name)
{
	int fd = open(name, O_RDWR | O_CREAT, 0600);

	check(fd >= 0);
	return fd;
}

static int lock(int fd, int how, short type, off_t start, off_t len)
{
	struct flock l = { .l_type = type, .l_start = start, .l_len = len };

	return fcntl(fd, how, &l);
}

/* What stands in the way of a lock of TYPE on byte AT of the file NAME. */
static struct flock at(const char *name, short type, off_t start)
{
	struct flock l = { .l_type = type, .l_start = start, .l_len = 1 };
	int fd = open(name, O_RDWR);

	check(fd >= 0 && fcntl(fd, F_OFD_GETLK, &l) == 0);
	return l; /* and FD stays open: to close it would give up our POSIX locks */
}

static void set_up(int *flag)
{
	__atomic_add_fetch(flag, 1, __ATOMIC_SEQ_CST);
}

static void await(const int *flag, int value)
{
	while (__atomic_load_n(flag, __ATOMIC_SEQ_CST) < value)
		zdtm_nap();
}

/* It has the files from its parent, and locks of its own on them. */
static void child(void)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	check(lock(file, F_SETLK, F_RDLCK, 200, 10) == 0);
	check(lock(hers, F_SETLK, F_WRLCK, 0, 5) == 0 && lock(hers, F_SETLK, F_RDLCK, 3, 4) == 0);
	set_up(&shared->set);
	await(&shared->go, 1);
	check(flock(both, LOCK_UN) == 0);
	set_up(&shared->set);
	await(&shared->go, 2);
	_exit(0);
}

/* With the table of its parent: the lock is of that. */
static void lock_by_sharer(void)
{
	pid_t pid = (pid_t)syscall(SYS_clone, CLONE_FILES | SIGCHLD, 0, 0, 0, 0);
	int status;

	check(pid >= 0);
	if (pid == 0)
		_exit(lock(others, F_SETLK, F_WRLCK, 30, 3) ? 1 : 0);
	check(waitpid(pid, &status, 0) == pid && status == 0);
	check(at("others", F_RDLCK, 31).l_type == F_WRLCK);
}

static void lock_all(const int *fds, size_t n)
{
	for (size_t i = 0; i < n; i++)
		check(fds[i] >= 0 && flock(fds[i], i % 2 ? LOCK_SH : LOCK_EX) == 0);
}

static int again(int fd)
{
	char path[] = "/proc/self/fd/xx";

	path[14] = (char)('0' + fd / 10), path[15] = (char)('0' + fd % 10);
	check(fd >= 10 && fd < 100);
	return open(path, O_RDONLY | O_NONBLOCK);
}

/* Another description of the same file, whatever has become of its name, is kept from it. */
static void check_all(const int *fds, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		int fd = again(fds[i]);

		check(fd >= 0);
		check(flock(fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK);
		check((flock(fd, LOCK_SH | LOCK_NB) == 0) == (i % 2 == 1));
		check(close(fd) == 0);
	}
}

int main(void)
{
	int kinds[5], ofd[2], status;
	pid_t pid;

	shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	check(shared != MAP_FAILED);
	check(open("/dev/null", O_RDONLY) >= 0);
	while (open("/dev/null", O_RDONLY) < 9) /* numbers of two digits from here on */
		continue;
	check(mkdir("d", 0700) == 0 && mkfifo("fifo", 0600) == 0);
	kinds[0] = open("d", O_RDONLY | O_DIRECTORY);
	kinds[1] = make("gone");
	kinds[2] = memfd_create("locked", 0);
	kinds[3] = open("fifo", O_RDWR);
	kinds[4] = open("/proc/self/status", O_RDONLY);
	check(unlink("gone") == 0);
	lock_all(kinds, 5);
	file = make("file"), others = make("others"), both = make("both"), hers = make("hers");
	check(lock(file, F_SETLK, F_WRLCK, 0, 100) == 0 &&
	      lock(file, F_SETLK, F_UNLCK, 40, 10) == 0);
	check(lock(file, F_SETLK, F_RDLCK, 200, 20) == 0);
	ofd[0] = open("file", O_RDWR), ofd[1] = open("file", O_RDONLY);
	check(lock(ofd[0], F_OFD_SETLK, F_RDLCK, 300, 5) == 0);
	check(lock(ofd[1], F_OFD_SETLK, F_RDLCK, 302, 10) == 0);
	check(flock(both, LOCK_EX) == 0);
	pid = fork();
	check(pid >= 0);
	if (pid == 0)
		child();
	lock_by_sharer();
	await(&shared->set, 1);

	zdtm_park();

	check_all(kinds, 5);
	check(at("file", F_RDLCK, 39).l_type == F_WRLCK && at("file", F_RDLCK, 50).l_start == 50);
	check(at("file", F_WRLCK, 39).l_pid == getpid() &&
	      at("file", F_WRLCK, 45).l_type == F_UNLCK);
	check(at("file", F_WRLCK, 215).l_pid == getpid() && at("file", F_WRLCK, 215).l_len == 20);
	check(lock(file, F_SETLK, F_UNLCK, 200, 20) == 0);
	check(at("file", F_WRLCK, 205).l_pid == pid && at("file", F_WRLCK, 215).l_type == F_UNLCK);
	check(at("file", F_WRLCK, 301).l_pid == -1 && at("file", F_WRLCK, 311).l_pid == -1);
	check(lock(ofd[0], F_OFD_SETLK, F_UNLCK, 0, 0) == 0);
	check(at("file", F_WRLCK, 301).l_type == F_UNLCK &&
	      at("file", F_WRLCK, 303).l_start == 302);
	check(at("hers", F_RDLCK, 2).l_pid == pid && at("hers", F_RDLCK, 3).l_type == F_UNLCK);
	check(at("hers", F_WRLCK, 6).l_pid == pid && at("hers", F_WRLCK, 7).l_type == F_UNLCK);
	check(at("others", F_RDLCK, 31).l_type == F_WRLCK);
	check(flock(again(both), LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK);
	set_up(&shared->go);
	await(&shared->set, 2);
	check(flock(again(both), LOCK_SH | LOCK_NB) == 0);
	set_up(&shared->go);
	check(waitpid(pid, &status, 0) == pid && status == 0);
	return zdtm_pass();
}
