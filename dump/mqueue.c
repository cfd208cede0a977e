/*
 * POSIX message queue, dump half. The queue belongs to the ipc namespace, not
 * to the program: it is left where it is, with its messages, and found again by
 * its name. One that has been unlinked would vanish with its last descriptor.
 */
#include <errno.h>
#include <mqueue.h>
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

/* What read(2) of a queue tells: "QSIZE:0 NOTIFY:0 SIGNO:0 NOTIFY_PID:0" (ipc/mqueue.c). */
static pid_t notified(int fd)
{
	char text[128] = "";
	const char *at;

	if (pread(fd, text, sizeof(text) - 1, 0) < 0)
		return 0;
	at = strstr(text, "NOTIFY_PID:");
	return at ? (pid_t)strtol(at + strlen("NOTIFY_PID:"), NULL, 10) : 0;
}

static int mqueue_check(struct dump *d, const struct file *f)
{
	auto_close int fd = -1;

	if (!f->st.st_nlink)
		return fail(-ENOTSUP,
		            "%s: this message queue was unlinked and would be lost, not supported "
		            "by this version",
		            file_name(f));
	fd = file_steal(f);
	if (fd < 0)
		return fail(fd, "%s: get at the message queue", file_name(f));
	if (notified(fd) == f->task->pid)
		return fail(-ENOTSUP,
		            "%s: it waits for a notification of this message queue (mq_notify), "
		            "not supported by this version",
		            file_name(f));
	return 0;
}

static int mqueue_dump(struct dump *d, const struct file *f)
{
	Img__Mqueue msg = IMG__MQUEUE__INIT;
	auto_close int fd = file_steal(f);
	struct mq_attr attr = {};

	if (fd < 0)
		return fail(fd, "%s: get at the message queue", file_name(f));
	if (syscall(SYS_mq_getsetattr, fd, NULL, &attr) < 0)
		return fail(-errno, "%s: mq_getattr", file_name(f));
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
