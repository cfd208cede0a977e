/*
 * What of a POSIX message queue nobody can see: its messages, and what a notification
 * brings along (mq_notify(2): the value of a signal, the cookie of SIGEV_THREAD). Both
 * are found out by having it: the user's own script receives all messages and sends
 * them again, in their order, which is that of sending within a priority; one message,
 * taken back at once, if there is none. The first message that comes to the empty queue
 * makes the kernel notify who is registered, for the last time; the script takes the signal out of
 * the (blocked) queue of the process, or the cookie out of its netlink socket, and
 * registers anew with what it got.
 *
 * As it is all in one script, somebody who kills crtool in the middle of it changes nothing: the
 * thread goes through with it. Nobody else sees anything: the tree stands still, and others do not have the
 * queue open (dump/mqueue.c). Somebody who opens it by its name in these microseconds could.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "dump/mqueue.h"
#include "dump/pipe_peer.h"
#include "lib/cleanup.h"
#include "lib/kernel.h"
#include "lib/log.h"
#include "lib/procfs.h"
#include "proto/mq_notify.pb-c.h"

#define PER_SEND     4     /* ops: descriptor, length, priority, call */
#define PRIORITY_MAX 32767 /* MQ_PRIO_MAX - 1: received first */
#define SPARE        16    /* signals that may still be queued (RLIMIT_SIGPENDING) */

/* Writing the script of one queue. */
struct asking {
	struct mqueue *q;
	struct script *s;
	int reader, writer; /* descriptors; -1: that which ... */
	size_t opened;      /* ... this op opens */
	uint64_t past;      /* a time: nobody waits */
};

static const struct file *queue_file(const struct dump *d, const struct fd_entry *e)
{
	const struct file *f = &d->files.v[e->file];

	return f->kind == KIND_mqueue && f->policy == FD_CARRY ? f : NULL;
}

static const struct task *table_of(const struct task *t)
{
	return t->shares[TABLE_FILES] ? t->shares[TABLE_FILES] : t;
}

/* ---- may it be asked? ---- */

/*
 * Does the netlink socket FD keep a message back, which is in no queue yet? The kernel
 * makes that of a notification when it is registered (netlink_attachskb()), and charges the socket
 * for it. -EAGAIN: it also has some that were not received yet.
 */
static int keeps_message(int fd)
{
	uint32_t info[SK_MEMINFO_VARS] = {};
	socklen_t size = sizeof(info);
	struct pollfd ready = { .fd = fd, .events = POLLIN };

	if (getsockopt(fd, SOL_SOCKET, SO_MEMINFO, info, &size) < 0 || poll(&ready, 1, 0) < 0)
		return -errno;
	if (!info[SK_MEMINFO_RMEM_ALLOC])
		return 0;
	return ready.revents & POLLIN ? -EAGAIN : 1;
}

/* The netlink socket of T that is told. -EMLINK: several may be. */
static int find_socket(const struct dump *d, const struct task *t, int *ret)
{
	size_t file = 0;
	int busy = 0;

	*ret = -1;
	array_each (e, &table_of(t)->fds) {
		const struct file *f = &d->files.v[e->file];
		auto_close int fd = -1;
		int r;

		if (f->sock.family != AF_NETLINK || (*ret >= 0 && e->file == file))
			continue;
		fd = file_steal(f);
		r = fd < 0 ? fd : keeps_message(fd);
		if (r < 0 && r != -EAGAIN)
			return r;
		busy = r == -EAGAIN ? r : busy;
		if (r != 1)
			continue;
		if (*ret >= 0)
			return -EMLINK;
		file = e->file;
		*ret = e->fd;
	}
	return busy ? busy : *ret < 0 ? -ENOENT : 0;
}

static int check_socket(const struct dump *d, const struct task *t, const struct file *f,
                        struct mqueue *q)
{
	int r = q->how == SIGEV_THREAD ? find_socket(d, t, &q->socket) : 0;

	if (r == 0)
		return 0;
	return fail(r == -EAGAIN || r == -EMLINK || r == -ENOENT ? -ENOTSUP : r,
	            "%s: fd %d: %s: waits for a notification of this message queue by a netlink "
	            "socket (SIGEV_THREAD), %s",
	            task_name(t), f->fd, f->link,
	            r == -EAGAIN   ? "and one of its sockets has messages: try again when they "
	                             "are received"
	            : r == -ENOENT ? "and has none open: not supported by this version"
	            : r == -EMLINK ? "and has others that wait likewise: not supported by this "
	                             "version"
	                           : "whose sockets cannot be looked at");
}

static int mq_notify_look(struct dump *d, struct task *t)
{
	array_each (e, &table_of(t)->fds) {
		const struct file *f = queue_file(d, e);
		struct mqueue q;
		int r = f ? mqueue_look(f, &q) : 0;

		if (f && r == 0 && q.notified == t->pid)
			r = check_socket(d, t, f, &q);
		if (r < 0)
			return r;
	}
	return 0;
}

/* One that is pending already, or finds no room to be queued, would not come with its value. */
static int check_signal(const struct task *t, const struct mqueue *q)
{
	const char *status = t->threads.v[0].status, *room = strstr(status, "SigQ:");
	uint64_t own = 0, shared = 0;
	unsigned long used = 0, limit = SPARE;

	if (q->how != SIGEV_SIGNAL || !q->signo)
		return 0;
	status_u64(status, "SigPnd", 16, &own);
	status_u64(status, "ShdPnd", 16, &shared);
	if (room)
		sscanf(room, "SigQ: %lu/%lu", &used, &limit);
	if (!((own | shared) & signal_bit(q->signo)) && used + SPARE <= limit)
		return 0;
	return fail(-ENOTSUP,
	            "%s: waits for a notification of a message queue by signal %d (mq_notify), "
	            "whose value cannot be found out while %s: try again",
	            task_name(t), q->signo,
	            used + SPARE <= limit ? "that signal is pending"
	                                  : "as many signals are pending as it may have");
}

/* ---- the script ---- */

/* A call with the descriptor of the queue, and ahead of it FEEDS ops that fill in more. */
static void feed_fd(struct asking *a, int fd, uint64_t feeds)
{
	struct script *s = a->s;

	if (fd < 0)
		script_op(s, OP_RESULT, EXPECT_ANY, 0, 0,
		          (const uint64_t[6]){ s->ops.n - a->opened, 0, feeds });
	else /* as many ops either way */
		script_op(s, OP_COPY, EXPECT_ANY, 0, 0, (const uint64_t[6]){ a->past, a->past });
}

static void receive(struct asking *a, uint64_t text, uint64_t priority)
{
	feed_fd(a, a->reader, 0);
	script_ask(a->s, SYS_mq_timedreceive, a->reader, text, a->q->attr.mq_msgsize, priority,
	           a->past);
}

static void take_all(struct asking *a)
{
	struct mq_asked *asked = &a->q->asked;
	size_t n = (size_t)a->q->attr.mq_curmsgs, size = (size_t)a->q->attr.mq_msgsize;

	asked->text = script_alloc(a->s, n * size);
	asked->priority = script_alloc(a->s, n * sizeof(uint64_t));
	asked->receive = a->s->ops.n + 1;
	for (size_t i = 0; i < n; i++)
		receive(a, asked->text + i * size, asked->priority + i * sizeof(uint64_t));
	asked->send = a->s->ops.n + PER_SEND - 1;
	for (size_t i = 0; i < n; i++) {
		size_t length = asked->receive + 2 * i;

		feed_fd(a, a->writer, 2);
		script_op(a->s, OP_RESULT, EXPECT_ANY, 0, 0,
		          (const uint64_t[6]){ a->s->ops.n - length, 2, 1 });
		script_op(a->s, OP_FETCH, EXPECT_ANY, 0, 0,
		          (const uint64_t[6]){ asked->priority + i * sizeof(uint64_t), 3 });
		script_ask(a->s, SYS_mq_timedsend, a->writer, asked->text + i * size, 0, 0,
		           a->past);
	}
}

/* The queue is empty: one message comes and goes. */
static void knock(struct asking *a)
{
	uint64_t text = script_alloc(a->s, (size_t)a->q->attr.mq_msgsize);

	feed_fd(a, a->writer, 0);
	script_ask(a->s, SYS_mq_timedsend, a->writer, text, 1, PRIORITY_MAX, a->past);
	receive(a, text, 0);
}

/* What came; it is what to register with anew. */
static void take_notice(struct asking *a)
{
	struct mqueue *q = a->q;
	struct sigevent event = { .sigev_notify = q->how, .sigev_signo = q->signo };
	struct script *s = a->s;
	uint64_t at;

	q->asked.notice = script_alloc(s, KERNEL_SIGINFO_SIZE);
	if (q->how == SIGEV_THREAD) {
		event.sigev_signo = q->socket;
		event.sigev_value.sival_ptr = (void *)q->asked.notice;
	}
	at = script_put(s, &event, sizeof(event));
	if (q->how == SIGEV_THREAD) {
		q->asked.taken = script_ask(s, SYS_recvfrom, q->socket, q->asked.notice,
		                            MQUEUE_COOKIE, MSG_DONTWAIT, 0, 0);
	} else if (q->how == SIGEV_SIGNAL && q->signo) {
		uint64_t set = signal_bit(q->signo);

		q->asked.taken =
			script_ask(s, SYS_rt_sigtimedwait, script_put(s, &set, sizeof(set)),
		                   q->asked.notice, a->past, sizeof(set));
		script_op(s, OP_COPY, EXPECT_ANY, 0, 0,
		          (const uint64_t[6]){ q->asked.notice + offsetof(siginfo_t, si_value),
		                               at + offsetof(struct sigevent, sigev_value) });
	}
	q->asked.renewed = script_ask(s, SYS_mq_notify, q->asked.fd, at);
}

/* Descriptors of T to receive and to send by; one is opened for both if it has none. */
static void find_ends(const struct dump *d, const struct task *t, const struct file *queue,
                      struct asking *a)
{
	char path[32];

	a->reader = a->writer = -1;
	array_each (e, &table_of(t)->fds) {
		const struct file *f = queue_file(d, e);
		uint32_t mode = f ? f->flags & O_ACCMODE : 0;

		if (!f || f->st.st_ino != queue->st.st_ino || f->st.st_dev != queue->st.st_dev)
			continue;
		a->reader = mode != O_WRONLY ? e->fd : a->reader;
		a->writer = mode != O_RDONLY ? e->fd : a->writer;
	}
	if (a->reader >= 0 && a->writer >= 0)
		return;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", a->q->asked.fd);
	a->opened = script_call(a->s, SYS_openat, AT_FDCWD, script_string(a->s, path),
	                        O_RDWR | O_CLOEXEC, 0);
}

static void ask_queue(struct dump *d, struct task *t, struct script *s, const struct file *f,
                      struct mqueue *q)
{
	const struct timespec past = {};
	struct asking a = { .q = q, .s = s, .past = script_put(s, &past, sizeof(past)) };
	bool registered = q->notified == t->pid;

	find_ends(d, t, f, &a);
	if (q->attr.mq_curmsgs)
		take_all(&a);
	else
		knock(&a);
	if (a.reader < 0 || a.writer < 0) { /* before: closing it ends a registration */
		feed_fd(&a, -1, 0);
		script_call(s, SYS_close, 0);
	}
	if (registered) {
		take_notice(&a);
		if (q->how == SIGEV_SIGNAL && q->signo)
			t->raised |= signal_bit(q->signo);
	}
}

/* Is T who has to be asked of Q, and is there anything to ask? */
static bool is_due(const struct dump *d, const struct task *t, const struct file *f,
                   const struct mqueue *q)
{
	bool registered = q->notified == t->pid;
	/* Then nobody else has it open: mqueue_check() has looked a moment ago. */
	bool alone = !f->st.st_nlink || (registered && q->how != SIGEV_NONE);
	char who[128];

	if (q->asked.task || (!registered && q->notified && task_find(d, q->notified)))
		return false;
	if (!q->attr.mq_curmsgs && !(registered && q->how != SIGEV_NONE))
		return false;
	return mqueue_fits(q) && (alone || !file_peers(d, f, who, sizeof(who)));
}

static struct mqueue *queue_add(struct dump *d, const struct file *f)
{
	struct mqueue *q;

	if (!d->mqueues)
		d->mqueues = calloc(1, sizeof(*d->mqueues));
	q = d->mqueues ? array_add(&d->mqueues->list) : NULL;
	return q && mqueue_look(f, q) == 0 ? q : NULL;
}

static int mq_notify_ask(struct dump *d, struct thread *th, struct script *s, struct ask *ret)
{
	struct task *t = th->task;

	array_each (e, &table_of(t)->fds) {
		const struct file *f = queue_file(d, e);
		struct mqueue *q = f ? mqueue_find(d, f) : NULL;
		int r;

		if (!f)
			continue;
		q = q ? q : queue_add(d, f);
		if (!q)
			return -ENOMEM;
		if (q->notified == t->pid && !q->asked.task)
			q->asked.fd = e->fd;
		r = q->notified == t->pid ? check_socket(d, t, f, q) : 0;
		if (r == 0 && is_due(d, t, f, q)) {
			q->asked.task = t;
			q->asked.fd = e->fd;
			r = check_signal(t, q);
			if (r == 0)
				ask_queue(d, t, s, f, q);
		}
		if (r < 0)
			return r;
	}
	return 0;
}

/* ---- answers ---- */

static int message_add(struct mqueue *q, const struct script *s, size_t i, size_t len)
{
	const uint64_t *priority = script_at(s, q->asked.priority + i * sizeof(uint64_t));
	struct mq_message *m = array_add(&q->messages);

	if (!m)
		return -ENOMEM;
	m->text = malloc(len + 1);
	if (!m->text)
		return -ENOMEM;
	memcpy(m->text, script_at(s, q->asked.text + i * (size_t)q->attr.mq_msgsize), len);
	m->len = len;
	m->priority = (unsigned)*priority;
	return 0;
}

static int take_messages(const struct task *t, const struct script *s, struct mqueue *q)
{
	for (size_t i = 0; i < (size_t)q->attr.mq_curmsgs; i++) {
		int64_t len = script_result(s, q->asked.receive + 2 * i);
		int64_t sent = script_result(s, q->asked.send + PER_SEND * i);
		int r = len < 0 ? (int)len : (int)sent;

		if (r == 0)
			r = message_add(q, s, i, (size_t)len);
		if (r < 0)
			return fail(r, "%s: fd %d: message %zu of this message queue%s",
			            task_name(t), q->asked.fd, i,
			            len >= 0 ? " could not be sent again" : "");
	}
	q->complete = true;
	return 0;
}

/* It is registered again, with what it had? */
static int check_notice(const struct task *t, const struct script *s, const struct mqueue *q)
{
	const siginfo_t *si = script_at(s, q->asked.notice);
	int64_t want = q->how == SIGEV_THREAD ? MQUEUE_COOKIE : q->signo;
	int64_t got = q->asked.taken ? script_result(s, q->asked.taken) : want;
	int64_t renewed = script_result(s, q->asked.renewed);

	if (q->how == SIGEV_SIGNAL && q->signo && got == want && si->si_code != SI_MESGQ)
		got = -EPROTO;
	if (got == want && renewed == 0)
		return 0;
	return fail(got < 0       ? (int)got
	            : renewed < 0 ? (int)renewed
	                          : -EPROTO,
	            "%s: fd %d: what a notification of this message queue (mq_notify) brings along",
	            task_name(t), q->asked.fd);
}

/* Somebody outside has opened the queue since it was checked. */
static int refuse_opened(const struct task *t, const struct mqueue *q)
{
	return fail(-ENOTSUP,
	            "%s: fd %d: waits for a notification of this message queue (mq_notify), which "
	            "somebody outside of the tree has open: try again",
	            task_name(t), q->asked.fd);
}

static void fill(const struct script *s, const struct mqueue *q, Img__MqNotify__Registration *reg)
{
	const siginfo_t *si = q->asked.notice ? script_at(s, q->asked.notice) : NULL;

	reg->fd = (uint32_t)q->asked.fd;
	reg->how = (uint32_t)q->how;
	if (q->how == SIGEV_SIGNAL) {
		reg->signo = (uint32_t)q->signo;
		reg->value = si ? (uint64_t)si->si_value.sival_ptr : 0;
	} else if (q->how == SIGEV_THREAD) {
		reg->socket = (uint32_t)q->socket;
		reg->cookie = (ProtobufCBinaryData){ MQUEUE_COOKIE, (uint8_t *)(uintptr_t)si };
	}
}

static int mq_notify_take(struct dump *d, struct thread *th, const struct script *s,
                          const struct ask *ask)
{
	size_t n = d->mqueues ? d->mqueues->list.n : 0;
	auto_free Img__MqNotify__Registration *all = calloc(n + 1, sizeof(*all));
	auto_free Img__MqNotify__Registration **list = calloc(n + 1, sizeof(*list));
	Img__MqNotify msg = IMG__MQ_NOTIFY__INIT;

	if (!all || !list)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		struct mqueue *q = &d->mqueues->list.v[i];
		bool asked = q->asked.task == th->task, registered = q->notified == th->task->pid;
		int r = asked ? take_messages(th->task, s, q) : 0;

		if (r == 0 && registered && (asked || q->how != SIGEV_NONE))
			r = asked ? check_notice(th->task, s, q) : refuse_opened(th->task, q);
		if (r < 0)
			return r;
		if (!registered)
			continue;
		list[msg.n_registration] = &all[msg.n_registration];
		img__mq_notify__registration__init(&all[msg.n_registration]);
		fill(s, q, &all[msg.n_registration++]);
	}
	msg.registration = list;
	return msg.n_registration
	               ? image_put(d->out, KIND_mq_notify, (uint32_t)th->task->pid, &msg.base)
	               : 0;
}

static bool mq_notify_special(struct dump *d, struct task *t)
{
	array_each (e, &table_of(t)->fds)
		if (queue_file(d, e))
			return true;
	return false;
}

const struct dump_aspect dump_mq_notify = {
	.scope = SCOPE_PROCESS,
	.look = mq_notify_look,
	.ask = mq_notify_ask,
	.alike = true,
	.special = mq_notify_special,
	.take = mq_notify_take,
};
