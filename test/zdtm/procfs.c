/*
 * Files and directories of processes in /proc: its own, those of a child, of one
 * outside. "net": of the network. "thread", "zombie", "dead", "old": what is refused.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "zdtm.h"

static int proc(pid_t pid, const char *name, int flags)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	fd = open(path, flags);
	check(fd >= 0);
	return fd;
}

static pid_t child(bool lives)
{
	pid_t pid = fork();

	check(pid >= 0);
	while (pid == 0 && lives)
		pause();
	if (pid == 0)
		_exit(0);
	return pid;
}

static int refused(char **argv)
{
	siginfo_t si;
	pid_t pid;

	if (!strcmp(argv[1], "old")) {
		proc(getpid(), "mem", O_RDONLY);
		argv[1] = NULL;
		return execl("/proc/self/exe", "procfs", "park", NULL);
	}
	if (!strcmp(argv[1], "zombie") || !strcmp(argv[1], "dead")) {
		pid = child(false);
		proc(pid, "status", O_RDONLY);
		check(waitid(P_PID, (id_t)pid, &si, WEXITED | (*argv[1] == 'z' ? WNOWAIT : 0)) ==
		      0);
	} else if (!strcmp(argv[1], "fdinfo")) {
		proc(getpid(), "fdinfo/0", O_RDONLY);
	}
	zdtm_park();
	return zdtm_pass();
}

/* The text of FD from where it stands has WORD. */
static bool tells(int fd, const char *word)
{
	char text[8192];
	ssize_t n = read(fd, text, sizeof(text) - 1);

	check(n >= 0);
	text[n] = '\0';
	return strstr(text, word);
}

/* Whoever looks up an entry of the network makes that of the others look deleted. */
static int net(void)
{
	int dev = proc(getpid(), "net/dev", O_RDONLY), tcp = proc(getpid(), "net/tcp", O_RDONLY);

	check(close(proc(getpid(), "net/dev", O_RDONLY)) == 0);
	check(lseek(tcp, 7, SEEK_SET) == 7);

	zdtm_park();

	check(lseek(tcp, 0, SEEK_CUR) == 7 && tells(dev, "Inter-"));
	return zdtm_pass();
}

int main(int argc, char **argv)
{
	pid_t pid = argc > 1 ? 0 : child(true);
	volatile int value = 41;
	int status, mem, maps, its, fds, dir, other, by_path, number, to = 42;
	char byte;

	if (argc > 1 && !strcmp(argv[1], "net"))
		return net();
	if (argc > 1)
		return refused(argv);
	status = proc(getpid(), "status", O_RDONLY | O_CLOEXEC);
	check(read(status, &byte, 1) == 1 && byte == 'N');
	mem = proc(getpid(), "mem", O_RDWR);
	maps = proc(getpid(), "maps", O_RDONLY);
	check(lseek(maps, 100, SEEK_SET) == 100);
	its = proc(pid, "task", O_RDONLY | O_DIRECTORY);
	fds = proc(getpid(), "fd", O_RDONLY | O_DIRECTORY);
	dir = proc(pid, "", O_PATH | O_DIRECTORY);
	by_path = proc(pid, "exe", O_PATH | O_NOFOLLOW);
	other = proc(1, "comm", O_RDONLY);

	zdtm_park();

	check(tells(status, "ame:\tprocfs") && fcntl(status, F_GETFD) == FD_CLOEXEC);
	check(pwrite(mem, &to, sizeof(to), (off_t)&value) == sizeof(to) && value == 42);
	check(lseek(maps, 0, SEEK_CUR) == 100 && tells(maps, "procfs"));
	check(faccessat(its, "..", F_OK, 0) == 0 && openat(its, "comm", O_RDONLY) < 0);
	check(faccessat(fds, "0", F_OK, AT_SYMLINK_NOFOLLOW) == 0);
	number = openat(dir, "stat", O_RDONLY);
	check(number >= 0 && tells(number, "(procfs)"));
	check(readlinkat(by_path, "", &byte, 1) == 1 && byte == '/');
	check(read(other, &byte, 1) == 1);
	check(kill(pid, SIGKILL) == 0 && waitpid(pid, &status, 0) == pid);
	return zdtm_pass();
}
