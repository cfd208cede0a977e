/*
 * Runs a command to which the kernel seems to have core scheduling: every thread
 * that is asked about, but those of the command, has a cookie.
 *
 *	cookie COMMAND [args]
 *
 * By seccomp_unotify(2): the parent answers prctl(PR_SCHED_CORE).
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define SCHED_CORE 62
#define COOKIE     UINT64_C(0xc00c1e)

static void must(int ok, const char *what)
{
	if (ok)
		return;
	perror(what);
	exit(125);
}

static int filter(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_prctl, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SCHED_CORE, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = { sizeof(code) / sizeof(*code), code };

	return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER,
	                    &prog);
}

/* The listener goes to the parent, by its number here. */
static void run(char **argv, int out)
{
	int fd = filter();

	must(fd >= 0, "seccomp");
	must(write(out, &fd, sizeof(fd)) == sizeof(fd), "write");
	must(read(out, &fd, sizeof(fd)) == sizeof(fd), "read"); /* the parent has it */
	close(fd);
	close(out);
	execv(argv[1], argv + 1);
	must(0, argv[1]);
}

static void answer(int listener, const struct seccomp_notif *asked)
{
	struct seccomp_notif_resp resp = { .id = asked->id };
	uint64_t cookie = COOKIE;
	char path[32];
	int mem;

	snprintf(path, sizeof(path), "/proc/%u/mem", asked->pid);
	mem = open(path, O_RDWR | O_CLOEXEC);
	if (mem < 0 || pwrite(mem, &cookie, sizeof(cookie), (off_t)asked->data.args[4]) < 0)
		resp.error = -EINVAL;
	if (mem >= 0)
		close(mem);
	ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &resp);
}

/* Nobody is left who could: POLLHUP. */
static int is_asked(int listener)
{
	struct pollfd p = { .fd = listener, .events = POLLIN };

	while (poll(&p, 1, -1) < 0)
		must(errno == EINTR, "poll");
	return p.revents & POLLIN;
}

int main(int argc, char **argv)
{
	struct seccomp_notif asked;
	int pair[2], number, listener, pidfd, status;
	pid_t pid;

	must(argc > 1 && socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0,
	     "socketpair");
	pid = fork();
	if (pid == 0)
		run(argv, pair[1]);
	close(pair[1]);
	must(read(pair[0], &number, sizeof(number)) == sizeof(number), "read");
	pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	listener = (int)syscall(SYS_pidfd_getfd, pidfd, number, 0);
	must(listener >= 0, "pidfd_getfd");
	must(write(pair[0], &number, sizeof(number)) == sizeof(number), "write");
	while (is_asked(listener)) {
		memset(&asked, 0, sizeof(asked));
		if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &asked) == 0)
			answer(listener, &asked);
	}
	must(waitpid(pid, &status, 0) == pid, "waitpid");
	return WIFEXITED(status) ? WEXITSTATUS(status) : 126;
}
