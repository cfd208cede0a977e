/*
 * The descriptor table, dump half: files_gather() has read it already, but for
 * FD_CLOEXEC where only the task itself can tell.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "dump/dump.h"
#include "dump/tracer.h"
#include "lib/cleanup.h"
#include "lib/log.h"
#include "proto/fds.pb-c.h"

/* Threads share one table unless one of them has called unshare(CLONE_FILES). */
static int look_table(struct dump *d, struct task *t)
{
	array_each (th, &t->threads) {
		long r = th->exited || th->tid == task_tid(t)
		                 ? 0
		                 : syscall(SYS_kcmp, task_tid(t), th->tid, KCMP_FILES, 0, 0);

		/* One that has ended has none, and is there only for a tracer. */
		if (r > 0 && tracer_check(d, t, th->tid) < 0)
			return -EBUSY;
		if (r > 0)
			return fail(-ENOTSUP,
			            "%s: thread %d has a descriptor table of its own "
			            "(unshare(CLONE_FILES)): not supported by this version",
			            task_name(t), th->tid);
	}
	return 0;
}

static int fds_look(struct dump *d, struct task *t)
{
	return look_table(d, t);
}

/* It may be the file that shows O_CLOEXEC. */
static bool in_doubt(const struct dump *d, const struct fd_entry *e)
{
	const struct dump_kind *room = d->files.v[e->file].room;

	return e->cloexec && (d->opened_for || (room && room->keeps_cloexec));
}

static int fds_ask(struct dump *d, struct thread *th, struct script *s, struct ask *ret)
{
	bool asked = false;

	array_each (e, &th->task->fds) {
		size_t op;

		if (!in_doubt(d, e))
			continue;
		op = script_call(s, SYS_fcntl, e->fd, F_GETFD);
		ret->first = asked ? ret->first : op;
		asked = true;
	}
	return 0;
}

static bool fds_special(struct dump *d, struct task *t)
{
	array_each (e, &t->fds)
		if (in_doubt(d, e))
			return true;
	return false;
}

static void read_answers(const struct dump *d, struct task *t, const struct script *s,
                         const struct ask *ask)
{
	size_t op = ask->first;

	array_each (e, &t->fds)
		if (in_doubt(d, e))
			e->cloexec = script_result(s, op++) & FD_CLOEXEC;
}

static int fds_put(struct dump *d, const struct task *t, uint32_t *numbers,
                   protobuf_c_boolean *cloexec)
{
	Img__Fds msg = IMG__FDS__INIT;

	for (size_t i = 0; i < t->fds.n; i++) {
		numbers[i] = (uint32_t)t->fds.v[i].fd;
		numbers[t->fds.n + i] = d->files.v[t->fds.v[i].file].id;
		cloexec[i] = t->fds.v[i].cloexec;
	}
	msg.n_fd = msg.n_file = msg.n_cloexec = t->fds.n;
	msg.fd = numbers;
	msg.file = numbers + t->fds.n;
	msg.cloexec = cloexec;
	return image_put(d->out, KIND_fds, (uint32_t)t->pid, &msg.base);
}

static int fds_take(struct dump *d, struct thread *th, const struct script *s,
                    const struct ask *ask)
{
	size_t n = th->task->fds.n;
	auto_free uint32_t *numbers = calloc(2 * n + 1, sizeof(*numbers));
	auto_free protobuf_c_boolean *cloexec = calloc(n + 1, sizeof(*cloexec));

	if (!numbers || !cloexec)
		return -ENOMEM;
	read_answers(d, th->task, s, ask);
	return fds_put(d, th->task, numbers, cloexec);
}

const struct dump_aspect dump_fds = {
	.scope = SCOPE_PROCESS,
	.table = TABLE_FILES,
	.look = fds_look,
	.ask = fds_ask,
	.alike = true,
	.special = fds_special,
	.take = fds_take,
};
