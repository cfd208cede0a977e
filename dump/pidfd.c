/*
 * pidfd, dump half: the process must be one of the tree, a zombie or not, or be
 * dead and reaped. Who is outside goes his own way, and may be somebody else
 * when the tree comes back. One of a thread (PIDFD_THREAD) is opened by its process itself, when that
 * has its threads.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/ioctl.h>

#include "dump/dump.h"
#include "lib/cleanup.h"
#include "lib/fd.h"
#include "lib/log.h"
#include "proto/pidfd.pb-c.h"

struct pidfd_status { /* struct pidfd_info of linux/pidfd.h, 6.13 */
	uint64_t mask, cgroup;
	uint32_t ids[11];
	int32_t exit_code;
};
#define GET_INFO  _IOWR(0xff, 11, struct pidfd_status)
#define INFO_EXIT (1u << 3) /* 6.15 */

static bool pidfd_owns(const struct file *f)
{
	return !strcmp(f->link, "anon_inode:[pidfd]");
}

/* The number, -1: dead and reaped, 0: not to be seen from here. */
static int pid_of(const struct file *f)
{
	size_t len;
	const char *value = key_value(f->fdinfo, "Pid", &len);

	return value ? (int)strtol(value, NULL, 10) : 0;
}

/* The process of the tree that PID is, or is a thread of; or NULL. */
static const struct task *task_of(const struct dump *d, pid_t pid)
{
	const struct task *found = task_find(d, pid);

	if (found)
		return found;
	array_each (t, &d->tasks) {
		array_each (th, &t->threads)
			if (th->tid == pid)
				return t;
	}
	return NULL;
}

static bool is_of_thread(const struct dump *d, const struct file *f)
{
	int pid = pid_of(f);
	const struct task *t = pid > 0 ? task_of(d, pid) : NULL;

	return t && t->pid != pid;
}

static int pidfd_check(struct dump *d, const struct file *f)
{
	auto_free char *comm = NULL;
	int pid = pid_of(f);
	char path[32];

	if (pid < 0 || (pid > 0 && task_of(d, pid)))
		return 0;
	snprintf(path, sizeof(path), "/proc/%d/comm", pid);
	if (file_read(AT_FDCWD, path, &comm) > 0)
		comm[strcspn(comm, "\n")] = '\0';
	return fail(-ENOTSUP,
	            "%s: refers to process %d (%s), which is not in the tree; "
	            "--on-unknown-fd=null or =close lets it go",
	            file_name(f), pid, comm ? comm : "?");
}

/* How a dead process ended; before 6.15 nobody knows. */
static uint32_t status_of(const struct file *f)
{
	auto_close int fd = file_steal(f);
	struct pidfd_status info = { .mask = INFO_EXIT };

	if (fd < 0 || ioctl(fd, GET_INFO, &info) < 0 || !(info.mask & INFO_EXIT))
		return 0;
	return (uint32_t)info.exit_code & 0xff7f; /* a core is not dumped again */
}

static int pidfd_dump(struct dump *d, const struct file *f)
{
	Img__Pidfd msg = IMG__PIDFD__INIT;
	int pid = pid_of(f);

	if (is_of_thread(d, f) && !file_alone(d, f))
		return fail(-ENOTSUP,
		            "%s: refers to thread %d, and is open in more than one process, or in "
		            "none: not supported; --on-unknown-fd=null or =close lets it go",
		            file_name(f), pid);
	if (pid > 0) {
		msg.pid = (uint32_t)task_of(d, pid)->pid;
		msg.thread = is_of_thread(d, f) ? (uint32_t)pid : 0;
	} else
		msg.status = status_of(f);
	return image_put(d->out, KIND_pidfd, f->id, &msg.base);
}

const struct dump_kind dump_pidfd = {
	.owns = pidfd_owns,
	.check = pidfd_check,
	.made_last = is_of_thread,
	.dump = pidfd_dump,
};
