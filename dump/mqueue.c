/*
 * POSIX message queue, dump half. The queue belongs to the ipc namespace: one with a
 * name stays where it is, with its messages, and is found again by its name; should it be gone,
 * or never have had one any more (mq_unlink(3)), it is made again with the messages that
 * it had, which its user in the tree was asked for (dump/mq_notify.c).
 *
 * That takes the messages out for a moment. Nobody outside may have the queue open then: with a name, it is
 * left alone; without, or with somebody who waits for a notification, it is refused.
 */
#include "dump/mqueue.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "dump/pipe_peer.h"
#include "lib/cleanup.h"
#include "lib/log.h"
#include "proto/mqueue.pb-c.h"

#define MQUEUE_MAGIC 0x19800202   /* ipc/mqueue.c */
#define ROOM         (512 * 1024) /* of the arena (dump/ask.c) */

/* Names have one component, so most files need no look at their file system. */
static bool mqueue_owns(const struct file *f)
{
	struct statfs fs;
	char path[48];

	if (f->flags & O_PATH || f->link[0] != '/' || strchr(f->link + 1, '/') ||
	    !S_ISREG(f->st.st_mode))
		return false;
	snprintf(path, sizeof(path), "/proc/%d/fd/%d", task_tid(f->task), f->fd);
	return statfs(path, &fs) == 0 && fs.f_type == MQUEUE_MAGIC;
}

/*
 * Who is to be notified, and how: read(2) of a queue tells
 * "QSIZE:0 NOTIFY:0 SIGNO:0 NOTIFY_PID:0" (ipc/mqueue.c). A descriptor that may not
 * be read is opened again.
 */
static void read_notified(const struct file *f, struct mqueue *q)
{
	auto_close int fd = -1;
	char text[128] = "", path[48];

	snprintf(path, sizeof(path), "/proc/%d/fd/%d", task_tid(f->task), f->fd);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || pread(fd, text, sizeof(text) - 1, 0) < 0 ||
	    sscanf(text, "QSIZE:%*s NOTIFY:%d SIGNO:%d NOTIFY_PID:%d", &q->how, &q->signo,
	           &q->notified) != 3)
		q->notified = 0;
}

int mqueue_look(const struct file *f, struct mqueue *ret)
{
	auto_close int fd = file_steal(f);

	if (fd < 0)
		return fail(fd, "%s: get at the message queue", file_name(f));
	*ret = (struct mqueue){ .dev = f->st.st_dev, .ino = f->st.st_ino };
	if (syscall(SYS_mq_getsetattr, fd, NULL, &ret->attr) < 0)
		return fail(-errno, "%s: mq_getattr", file_name(f));
	read_notified(f, ret);
	return 0;
}

bool mqueue_fits(const struct mqueue *q)
{
	return (uint64_t)q->attr.mq_curmsgs * (uint64_t)(q->attr.mq_msgsize + 8) < ROOM;
}

struct mqueue *mqueue_find(const struct dump *d, const struct file *f)
{
	if (d->mqueues)
		array_each (q, &d->mqueues->list)
			if (q->ino == f->st.st_ino && q->dev == f->st.st_dev)
				return q;
	return NULL;
}

/* What nobody can see but by taking it. */
static const char *hidden(const struct dump *d, const struct file *f, const struct mqueue *q)
{
	static char text[96];

	if (task_find(d, q->notified) && q->how != SIGEV_NONE) {
		snprintf(text, sizeof(text), "task %d waits for a notification of it (mq_notify)",
		         q->notified);
		return text;
	}
	if (f->st.st_nlink || !q->attr.mq_curmsgs)
		return NULL;
	snprintf(text, sizeof(text), "it was unlinked and holds %ld messages", q->attr.mq_curmsgs);
	return text;
}

static int mqueue_check(struct dump *d, const struct file *f)
{
	struct mqueue q;
	int r = mqueue_look(f, &q);
	const char *what = r == 0 ? hidden(d, f, &q) : NULL;
	char who[128];

	if (!what)
		return r;
	if (file_peers(d, f, who, sizeof(who)))
		return fail(-ENOTSUP,
		            "%s: of this message queue %s, which only its users can see, by taking "
		            "messages, and %s has it open, too",
		            file_name(f), what, who);
	if (!mqueue_fits(&q))
		return fail(-ENOTSUP,
		            "%s: of this message queue %s, which only its users can see, by taking "
		            "messages, and these are too large: let them be received first",
		            file_name(f), what);
	return 0;
}

/* ---- record ---- */

/* Nobody before F has told of the queue. */
static bool is_first(const struct dump *d, const struct file *f)
{
	for (const struct file *e = d->files.v; e < f; e++)
		if (e->room == f->room && e->st.st_ino == f->st.st_ino &&
		    e->st.st_dev == f->st.st_dev)
			return false;
	return true;
}

static int put(struct dump *d, const struct file *f, Img__Mqueue *msg)
{
	const struct mqueue *q = is_first(d, f) ? mqueue_find(d, f) : NULL;
	size_t n = q && q->complete ? q->messages.n : 0;
	auto_free Img__Mqueue__Message *all = calloc(n + 1, sizeof(*all));
	auto_free Img__Mqueue__Message **list = calloc(n + 1, sizeof(*list));

	if (!all || !list)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		const struct mq_message *m = &q->messages.v[i];

		list[i] = &all[i];
		img__mqueue__message__init(&all[i]);
		all[i].priority = m->priority;
		all[i].text = (ProtobufCBinaryData){ m->len, m->text };
	}
	msg->message = list, msg->n_message = n;
	return image_put(d->out, KIND_mqueue, f->id, &msg->base);
}

static int mqueue_dump(struct dump *d, const struct file *f)
{
	Img__Mqueue msg = IMG__MQUEUE__INIT;
	const struct mqueue *asked = mqueue_find(d, f);
	struct mqueue q;
	int r = mqueue_look(f, &q);

	if (r < 0)
		return r;
	if (!f->st.st_nlink && q.attr.mq_curmsgs && !(asked && asked->complete))
		return fail(-ENOTSUP,
		            "%s: this message queue was unlinked and holds %ld messages, and no "
		            "process of the tree has it open: not supported by this version",
		            file_name(f), q.attr.mq_curmsgs);
	msg.ino = f->st.st_ino;
	msg.unlinked = !f->st.st_nlink;
	msg.name = f->link;
	msg.maxmsg = (uint64_t)q.attr.mq_maxmsg;
	msg.msgsize = (uint64_t)q.attr.mq_msgsize;
	msg.curmsgs = (uint64_t)q.attr.mq_curmsgs;
	msg.mode = f->st.st_mode & 07777;
	msg.uid = f->st.st_uid;
	msg.gid = f->st.st_gid;
	return put(d, f, &msg);
}

static void mqueue_release(struct dump *d, bool killed)
{
	if (!d->mqueues)
		return;
	array_each (q, &d->mqueues->list) {
		array_each (m, &q->messages)
			free(m->text);
		array_done(&q->messages);
	}
	array_done(&d->mqueues->list);
	free(d->mqueues);
	d->mqueues = NULL;
}

const struct dump_kind dump_mqueue = {
	.keeps_cloexec = true,
	.owns = mqueue_owns,
	.check = mqueue_check,
	.dump = mqueue_dump,
	.release = mqueue_release,
};
