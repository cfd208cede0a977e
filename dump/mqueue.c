/*
 * POSIX message queue, dump half. The queue belongs to the ipc namespace, not
 * to the program: it is left where it is, with its messages, and found again by
 * its name. One that has been unlinked vanishes with its last descriptor; it is
 * made again if it is empty: messages cannot be seen but by taking them out.
 *
 * Who is to be notified shows in what read(2) of a queue tells, and how, and by
 * which signal, but not the value that goes with it (sigev_value): a registration
 * is refused unless it asks for nothing (SIGEV_NONE), which only keeps others from it.
 */
#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "dump/dump.h"
#include "lib/cleanup.h"
#include "lib/log.h"
#include "lib/procfs.h"
#include "proto/mqueue.pb-c.h"

#define MQUEUE_MAGIC 0x19800202 /* ipc/mqueue.c */

/* Names have one component, so most files need no look at their file system. */
static bool mqueue_owns(const struct file *f)
{
	struct statfs fs;
	char path[48];

	if (f->link[0] != '/' || strchr(f->link + 1, '/') || !S_ISREG(f->st.st_mode))
		return false;
	snprintf(path, sizeof(path), "/proc/%d/fd/%d", task_tid(f->task), f->fd);
	return statfs(path, &fs) == 0 && fs.f_type == MQUEUE_MAGIC;
}

/*
 * Who is to be notified, 0 for nobody, and how (SIGEV_*): read(2) of a queue tells
 * "QSIZE:0 NOTIFY:0 SIGNO:0 NOTIFY_PID:0" (ipc/mqueue.c). A descriptor that may not
 * be read is opened again.
 */
static pid_t notified(const struct file *f, int *ret_how)
{
	auto_close int fd = -1;
	char text[128] = "", path[48];
	int pid = 0;

	snprintf(path, sizeof(path), "/proc/%d/fd/%d", f->task->pid, f->fd);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || pread(fd, text, sizeof(text) - 1, 0) < 0)
		return 0;
	if (sscanf(text, "QSIZE:%*s NOTIFY:%d SIGNO:%*s NOTIFY_PID:%d", ret_how, &pid) != 2)
		return 0;
	return pid;
}

static bool is_ours(const struct dump *d, pid_t pid)
{
	array_each (t, &d->tasks)
		if (t->pid == pid)
			return true;
	return false;
}

/* Nobody else in the tree tells of the same queue. */
static bool is_first(const struct dump *d, const struct file *f)
{
	for (const struct file *e = d->files.v; e < f; e++)
		if (e->room == f->room && e->st.st_ino == f->st.st_ino &&
		    e->st.st_dev == f->st.st_dev)
			return false;
	return true;
}

static int mqueue_check(struct dump *d, const struct file *f)
{
	auto_close int fd = file_steal(f);
	struct mq_attr attr = {};
	int how = 0;
	pid_t pid;

	if (fd < 0)
		return fail(fd, "%s: get at the message queue", file_name(f));
	if (!f->st.st_nlink && syscall(SYS_mq_getsetattr, fd, NULL, &attr) == 0 && attr.mq_curmsgs)
		return fail(-ENOTSUP,
		            "%s: this message queue was unlinked and holds %ld messages, which "
		            "nobody can see but by taking them; let them be received first",
		            file_name(f), attr.mq_curmsgs);
	pid = notified(f, &how);
	if (!is_ours(d, pid) || (how == SIGEV_NONE && pid == f->task->pid))
		return 0;
	return fail(-ENOTSUP,
	            "%s: task %d waits for a notification of this message queue (mq_notify), with "
	            "a value that the kernel does not show, not supported by this version",
	            file_name(f), pid);
}

static int mqueue_dump(struct dump *d, const struct file *f)
{
	Img__Mqueue msg = IMG__MQUEUE__INIT;
	auto_close int fd = file_steal(f);
	struct mq_attr attr = {};
	int how = 0;

	if (fd < 0)
		return fail(fd, "%s: get at the message queue", file_name(f));
	if (syscall(SYS_mq_getsetattr, fd, NULL, &attr) < 0)
		return fail(-errno, "%s: mq_getattr", file_name(f));
	msg.ino = f->st.st_ino;
	msg.unlinked = !f->st.st_nlink;
	msg.silent = is_first(d, f) && notified(f, &how) == f->task->pid && how == SIGEV_NONE;
	msg.name = f->link;
	msg.maxmsg = (uint64_t)attr.mq_maxmsg;
	msg.msgsize = (uint64_t)attr.mq_msgsize;
	msg.curmsgs = (uint64_t)attr.mq_curmsgs;
	msg.mode = f->st.st_mode & 07777;
	msg.uid = f->st.st_uid;
	msg.gid = f->st.st_gid;
	return image_put(d->out, KIND_mqueue, f->id, &msg.base);
}

const struct dump_kind dump_mqueue = {
	.owns = mqueue_owns,
	.check = mqueue_check,
	.dump = mqueue_dump,
};
