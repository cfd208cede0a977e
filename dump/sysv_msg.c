/*
 * SysV message queues, dump half. A queue is the tree's if one of its processes
 * was the last to send or to receive, or waits to do so. Others use it, too, if
 * a living process of theirs was the last, or waits.
 *
 * MSG_COPY shows the message at an index and takes none away, nor does it leave
 * a trace; it comes with CONFIG_CHECKPOINT_RESTORE.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/msg.h>
#include <sys/syscall.h>

#include "dump/sysv.h"
#include "dump/tracees.h"
#include "lib/cleanup.h"
#include "lib/log.h"
#include "lib/sysv.h"
#include "proto/sysv_msg.pb-c.h"

#ifndef MSG_STAT_ANY
#define MSG_STAT_ANY 13
#endif

struct queue {
	int msqid;
	struct msqid_ds ds;
	bool kept;
};

static const char *queue_name(const struct queue *q)
{
	return sysv_name(SYSV_MSG, q->msqid, (unsigned)q->ds.msg_perm.__key);
}

static bool waits_at(const struct task *t, int msqid)
{
	array_each (th, &t->threads) {
		long nr;

		if (!arch_in_syscall(thread_regs(th), &nr) ||
		    (nr != SYS_msgsnd && nr != SYS_msgrcv))
			continue;
		if ((int)arch_syscall_arg(thread_regs(th)) == msqid)
			return true;
	}
	return false;
}

static const struct task *user_of(const struct dump *d, const struct queue *q)
{
	array_each (t, &d->tasks)
		if (t->pid == q->ds.msg_lspid || t->pid == q->ds.msg_lrpid ||
		    (d->frozen && waits_at(t, q->msqid)))
			return t;
	return NULL;
}

static bool others_use(const struct dump *d, const struct queue *q, char *who, size_t size)
{
	const pid_t last[] = { q->ds.msg_lspid, q->ds.msg_lrpid };
	auto_free pid_t *ours = calloc(d->tasks.n, sizeof(*ours));
	char comm[32];
	pid_t pid = 0;

	for (size_t i = 0; i < ARRAY_SIZE(last) && !pid; i++)
		if (last[i] && !sysv_ours(d, last[i]) && kill(last[i], 0) == 0)
			pid = last[i];
	for (size_t i = 0; ours && i < d->tasks.n; i++)
		ours[i] = d->tasks.v[i].pid;
	if (!pid && ours)
		pid = sysv_waiting(q->msqid, SYS_msgsnd, SYS_msgrcv, ours, d->tasks.n);
	if (!pid)
		return false;
	sysv_comm(pid, comm, sizeof(comm));
	snprintf(who, size, "task %d (%s)", pid, comm);
	return true;
}

/* 1: it is the tree's. */
static int queue_check(struct dump *d, struct queue *q)
{
	const struct task *user = user_of(d, q);
	char who[64];
	int r;

	if (!user)
		return 0;
	if (!others_use(d, q, who, sizeof(who)))
		return 1;
	r = sysv_shared(d, task_name(user), queue_name(q), who, &q->kept);
	return r < 0 ? r : 1;
}

/* Call FN for every queue of the namespace until one fails; what it answers is added up. */
static int queues_each(struct dump *d, int (*fn)(struct dump *d, struct queue *q, int before))
{
	struct msginfo info;
	int last = msgctl(0, MSG_INFO, (struct msqid_ds *)&info), sum = 0;

	for (int i = 0; i <= last && info.msgpool; i++) {
		struct queue q = {};
		int r;

		q.msqid = msgctl(i, MSG_STAT_ANY, &q.ds);
		r = q.msqid < 0 ? 0 : fn(d, &q, sum);
		if (r < 0)
			return r;
		sum += r;
	}
	return sum;
}

static int look(struct dump *d, struct queue *q, int before)
{
	int r = dump_obstacle(d, queue_check(d, q));

	return r < 0 ? r : 0;
}

int sysv_msg_look(struct dump *d)
{
	return queues_each(d, look);
}

/* ---- records ---- */

struct messages {
	ARRAY(Img__SysvMsg__Message) all;
	Img__SysvMsg__Message **list;
};

static void messages_done(struct messages *m)
{
	array_each (msg, &m->all)
		free(msg->text.data);
	array_done(&m->all);
	free(m->list);
}

/* The message at INDEX: 1; 0: there is none. */
static int message_peek(const struct queue *q, long index, struct messages *m)
{
	size_t size = q->ds.__msg_cbytes;
	auto_free struct msgbuf *buf = malloc(sizeof(*buf) + size);
	Img__SysvMsg__Message *at;
	ssize_t n;

	if (!buf)
		return -ENOMEM;
	n = msgrcv(q->msqid, buf, size, index, MSG_COPY | IPC_NOWAIT);
	if (n < 0)
		return errno == ENOMSG ? 0 : -errno;
	at = array_add(&m->all);
	if (!at)
		return -ENOMEM;
	img__sysv_msg__message__init(at);
	at->type = buf->mtype;
	at->text.data = malloc((size_t)n + 1);
	if (!at->text.data)
		return -ENOMEM;
	memcpy(at->text.data, buf->mtext, (size_t)n);
	at->text.len = (size_t)n;
	return 1;
}

static int messages_read(const struct queue *q, struct messages *m)
{
	int r = 1;

	for (long i = 0; r > 0; i++)
		r = message_peek(q, i, m);
	if (r == -ENOSYS)
		return fail(-ENOTSUP,
		            "%s: its messages cannot be seen, this kernel is without "
		            "CONFIG_CHECKPOINT_RESTORE",
		            queue_name(q));
	if (r < 0)
		return fail(r, "%s: read its messages", queue_name(q));
	m->list = calloc(m->all.n + 1, sizeof(*m->list));
	if (!m->list)
		return -ENOMEM;
	for (size_t i = 0; i < m->all.n; i++)
		m->list[i] = &m->all.v[i];
	return 0;
}

static int take(struct dump *d, struct queue *q, int before)
{
	auto_(messages_done) struct messages messages = {};
	Img__SysvMsg msg = IMG__SYSV_MSG__INIT;
	Img__SysvPerm perm = IMG__SYSV_PERM__INIT;
	int r = queue_check(d, q);

	if (r <= 0)
		return r;
	r = q->kept ? 0 : messages_read(q, &messages);
	if (r < 0)
		return r;
	sysv_perm(q->msqid, &q->ds.msg_perm, q->ds.msg_ctime, q->kept, &perm);
	msg.id = (uint32_t)before + 1;
	msg.perm = &perm;
	msg.qbytes = q->ds.msg_qbytes;
	msg.message = messages.list, msg.n_message = messages.all.n;
	msg.lspid = (uint32_t)q->ds.msg_lspid;
	msg.lrpid = (uint32_t)q->ds.msg_lrpid;
	r = image_put(d->out, KIND_sysv_msg, msg.id, &msg.base);
	return r < 0 ? r : 1;
}

int sysv_msg_take(struct dump *d)
{
	return queues_each(d, take);
}
