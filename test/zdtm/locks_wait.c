/* A child waits for a lock that its parent holds: flock, posix or ofd. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#include "zdtm.h"

static int lock(const char *kind, int fd, short type)
{
	struct flock all = { .l_type = type };

	if (!strcmp(kind, "flock"))
		return flock(fd, type == F_UNLCK ? LOCK_UN : LOCK_EX);
	return fcntl(fd, !strcmp(kind, "ofd") ? F_OFD_SETLKW : F_SETLKW, &all);
}

/* Is PID in a system call that waits for a lock? */
static bool waits(pid_t pid)
{
	char path[64], text[32] = "";
	int fd, nr;

	snprintf(path, sizeof(path), "/proc/%d/syscall", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	check(fd >= 0 && read(fd, text, sizeof(text) - 1) > 0 && close(fd) == 0);
	return sscanf(text, "%d", &nr) == 1 && (nr == 72 || nr == 73); /* fcntl, flock */
}

int main(int argc, char **argv)
{
	int fd = open("file", O_RDWR | O_CREAT, 0600), status;
	pid_t child;

	check(argc == 2 && fd >= 0 && lock(argv[1], fd, F_WRLCK) == 0);
	child = fork();
	check(child >= 0);
	if (!child) {
		fd = open("file", O_RDWR);
		check(lock(argv[1], fd, F_WRLCK) == 0);
		check(write(fd, "got it", 6) == 6);
		_exit(0);
	}
	while (!waits(child))
		zdtm_nap();

	zdtm_park();

	for (int i = 0; i < 20; i++)
		zdtm_nap();
	check(waitpid(child, &status, WNOHANG) == 0 && lseek(fd, 0, SEEK_END) == 0);
	check(lock(argv[1], fd, F_UNLCK) == 0);
	check(waitpid(child, &status, 0) == child && status == 0);
	check(lseek(fd, 0, SEEK_END) == 6);
	return zdtm_pass();
}
