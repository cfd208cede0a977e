/*
 * Whom a unix socket takes for its peer (SO_PEERCRED) is who called connect(2), listen(2)
 * or socketpair(2). So a child with that number, which is free as the tree does not exist
 * yet, and with these ids makes the call on descriptors that it shares with us, and ends:
 * the socket keeps the number. What asks for the process behind it (SO_PEERPIDFD) finds
 * it gone.
 *
 * Only effective ids count. Its capabilities stay, so that it can reach whatever we can.
 */
#include <errno.h>
#include <linux/capability.h>
#include <linux/sched.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/fd.h"
#include "lib/log.h"
#include "restore/numbers.h"
#include "restore/sk_unix.h"

/* Of the calling thread alone: glibc would ask all of them, which are not here. */
static int become(const Img__SkUnix__Creds *c)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {};

	/* Who has none must not be shown ours; without the right to change them they are the user's own. */
	if (syscall(SYS_setgroups, c->n_group, c->group) < 0 && (c->n_group || errno != EPERM))
		return -errno;
	if (c->uid == geteuid() && c->gid == getegid())
		return 0;
	if (syscall(SYS_setresgid, -1, c->gid, -1) < 0 ||
	    syscall(SYS_setresuid, -1, c->uid, -1) < 0 || syscall(SYS_capget, &head, data) < 0)
		return -errno;
	for (size_t i = 0; i < _LINUX_CAPABILITY_U32S_3; i++)
		data[i].effective = data[i].permitted;
	return syscall(SYS_capset, &head, data) < 0 ? -errno : 0;
}

/* A child with our descriptors and that number. */
static pid_t child_new(pid_t pid)
{
	struct clone_args args = { .flags = CLONE_FILES, .exit_signal = SIGCHLD };

	if (!pid)
		return (pid_t)syscall(SYS_clone3, &args, sizeof(args));
	args.set_tid = (uint64_t)&pid;
	args.set_tid_size = 1;
	return (pid_t)clone_when_free(&args);
}

static int child_result(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(status) ? -WEXITSTATUS(status) : -EIO;
}

static void warn_about(uint32_t id, const Img__SkUnix__Creds *c, const char *why)
{
	warn("socket %u: its peer is shown as crtool, not as process %u of user %u: %s", id, c->pid,
	     c->uid, why);
}

int unix_as(uint32_t id, const Img__SkUnix__Creds *c, int (*call)(int a, int b), int a, int b)
{
	enum { NOT_ALLOWED = 255 };
	pid_t child;
	int e;

	if (!c)
		return call(a, b);
	child = child_new((pid_t)c->pid);
	if (child == 0) {
		if (become(c) < 0)
			_exit(NOT_ALLOWED);
		_exit(-call(a, b));
	}
	if (child < 0 && error_passes(-errno))
		return -errno;
	if (child < 0) {
		warn_about(id, c, errno == EEXIST ? "that number is taken" : strerror(errno));
		return call(a, b);
	}
	e = child_result(child);
	if (e != -NOT_ALLOWED)
		return e;
	warn_about(id, c, "that takes CAP_SETUID and CAP_SETGID");
	return call(a, b);
}
