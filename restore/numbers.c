/*
 * Who has them (restore/numbers.h). A number is one of a process, thread, process group or session: who is dead may
 * keep it in each of these ways. Even when the last of them is reaped the kernel frees it a while later only, when
 * /proc has forgotten the process (proc_flush_pid(), free_pids() in release_task(), kernel/exit.c): with a thousand
 * threads that takes milliseconds.
 */
#include "restore/numbers.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/deadline.h"
#include "lib/fd.h"
#include "lib/log.h"
#include "lib/procfs.h"

#define LOOKS   1000
#define LOOK_US 2000

/* The holder of PID as /proc shows it; NULL: there is none (any more). The caller frees. */
static char *holder_status(pid_t pid)
{
	char *status = NULL;
	char path[32];

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	return file_read(AT_FDCWD, path, &status) < 0 ? NULL : status;
}

/* A zombie, or one that is being reaped. */
static bool has_ended(const char *status)
{
	size_t len = 0;
	const char *state = status ? key_value(status, "State", &len) : NULL;

	return state && len && strchr("ZX", *state);
}

/* Its last owner was reaped or waits for that; others may have it as their group, of whom nobody knows. */
static bool may_become_free(pid_t pid)
{
	auto_free char *status = holder_status(pid);

	return !status || has_ended(status);
}

int number_explain(pid_t pid)
{
	auto_free char *status = holder_status(pid);
	uint64_t tgid = 0, ppid = 0;
	size_t len = 0;
	const char *name;

	if (!status)
		return fail(-EBUSY,
		            "pid %d is in use as the number of a process group or session of "
		            "others; --new-pidns restores beside it",
		            pid);
	name = key_value(status, "Name", &len);
	status_u64(status, "Tgid", 10, &tgid);
	status_u64(status, "PPid", 10, &ppid);
	if (has_ended(status))
		return fail(-EBUSY,
		            "pid %d is in use by a zombie (%.*s) that its parent %d does not wait "
		            "for; --new-pidns restores beside it",
		            pid, (int)len, name, (int)ppid);
	if (tgid != (uint64_t)pid)
		return fail(-EBUSY,
		            "pid %d is in use by a thread of task %d (%.*s); --new-pidns restores "
		            "beside it",
		            pid, (int)tgid, (int)len, name);
	return fail(-EBUSY, "pid %d is in use by task %d (%.*s); --new-pidns restores beside it",
	            pid, pid, (int)len, name);
}

/* In whichever way: F_SETOWN takes no number that there is not (f_setown(), fs/fcntl.c). Nothing signals FD. */
static bool is_held(int fd, pid_t pid)
{
	return fcntl(fd, F_SETOWN, pid) == 0 || errno != ESRCH;
}

/* FD: any of ours. LEFT: looks that are left for all. */
static int await(int fd, pid_t pid, int *left)
{
	while (pid && is_held(fd, pid)) {
		if (!may_become_free(pid) || --*left < 0)
			return number_explain(pid);
		usleep(LOOK_US);
	}
	return 0;
}

static int await_all(const struct restore *r, int fd)
{
	int left = LOOKS, ret = 0;

	array_each (t, &r->tasks)
		array_each (th, &t->threads)
			if (ret == 0)
				ret = await(fd, th->tid, &left);
	for (size_t i = 0; ret == 0 && i < r->nhelpers; i++)
		ret = await(fd, r->helpers[i].pid, &left);
	return ret;
}

int numbers_await(struct restore *r)
{
	auto_close int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	return fd < 0 ? fail(-errno, "open /dev/null") : await_all(r, fd);
}

long clone_when_free(struct clone_args *args)
{
	const pid_t tid = *(const pid_t *)args->set_tid;

	for (int left = LOOKS;; left--) {
		long pid = syscall(SYS_clone3, args, sizeof(*args));

		if (pid >= 0 || errno != EEXIST)
			return pid;
		if (!left || deadline_passed() || !may_become_free(tid))
			break;
		usleep(LOOK_US);
	}
	errno = EEXIST;
	return -1;
}
