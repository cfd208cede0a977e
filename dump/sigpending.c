/*
 * Pending signals, dump half: PTRACE_PEEKSIGINFO shows both queues without
 * taking anything out. A signal whose entry found no memory or exceeded
 * RLIMIT_SIGPENDING is pending without a siginfo; the kernel will make one up
 * as for a kill(2) by nobody, and so do we. Signals that came while a script
 * ran in the thread stand in its tracee, and come first.
 *
 * SIGSTOP cannot wait in a queue that nobody stops for: one that comes while
 * the task is frozen is reported, and stops a target that runs on.
 *
 * The signal of a POSIX timer is carried as an entry of its own; the overrun
 * that the kernel would add at its delivery cannot be seen, see timer.c.
 */
#include <errno.h>
#include <string.h>
#include <sys/ptrace.h>

#include "dump/alike.h"
#include "dump/dump.h"
#include "lib/cleanup.h"
#include "lib/kernel.h"
#include "lib/log.h"
#include "lib/task_facts.h"
#include "proto/sigpending.pb-c.h"

#define PEEK 32 /* entries per call */

struct queue {
	ARRAY(siginfo_t) infos;
	uint64_t seen; /* signals that have an entry */
};

/* Those of the thread, then those of the process. */
struct peeked {
	bool stop; /* SIGSTOP was among them */
	size_t n_own, n_shared;
	siginfo_t infos[];
};

static int queue_add(struct queue *q, const siginfo_t *si)
{
	siginfo_t *p;

	q->seen |= signal_bit(si->si_signo);
	if (si->si_signo == SIGSTOP)
		return 0;
	p = array_add(&q->infos);
	if (!p)
		return -ENOMEM;
	*p = *si;
	return 0;
}

static int queue_peek(struct queue *q, pid_t tid, uint32_t flags)
{
	struct __ptrace_peeksiginfo_args args = { .flags = flags, .nr = PEEK };
	siginfo_t peeked[PEEK];

	for (;;) {
		long n = ptrace(PTRACE_PEEKSIGINFO, tid, &args, peeked);

		if (n < 0)
			return -errno;
		for (long i = 0; i < n; i++)
			if (queue_add(q, &peeked[i]) < 0)
				return -ENOMEM;
		if (n < PEEK)
			return 0;
		args.off += (uint64_t)n;
	}
}

/* Signals of MASK that have no entry. */
static int queue_fill(struct queue *q, uint64_t mask)
{
	for (mask &= ~q->seen; mask; mask &= mask - 1) {
		const siginfo_t si = { .si_signo = __builtin_ctzll(mask) + 1, .si_code = SI_USER };

		if (queue_add(q, &si) < 0)
			return -ENOMEM;
	}
	return 0;
}

static int queue_read(struct queue *q, pid_t tid, uint64_t mask, uint32_t flags)
{
	int r = mask ? queue_peek(q, tid, flags) : 0;

	return r < 0 ? r : queue_fill(q, mask);
}

static void queue_done(struct queue *q)
{
	array_done(&q->infos);
}

/* Mostly there is nothing to hold. */
static int queues_keep(const struct queue *own, const struct queue *shared, bool stop,
                       struct ask *ask)
{
	size_t n = own->infos.n + shared->infos.n;
	struct peeked *kept;

	if (!n && !stop)
		return 0;
	kept = ask->peeked = malloc(sizeof(*kept) + n * sizeof(*kept->infos));
	if (!kept)
		return -ENOMEM;
	kept->stop = stop;
	kept->n_own = own->infos.n;
	kept->n_shared = shared->infos.n;
	for (size_t i = 0; i < n; i++)
		kept->infos[i] =
			i < own->infos.n ? own->infos.v[i] : shared->infos.v[i - own->infos.n];
	return 0;
}

static int sigpending_peek(struct dump *d, struct thread *th, struct ask *ask)
{
	auto_(queue_done) struct queue own = {}, shared = {};
	bool leads = th == th->task->threads.v, stop;
	uint64_t mask = 0, mask_shared = 0;
	int r = thread_pending(th, false, &mask) &&
	                        (!leads || thread_pending(th, true, &mask_shared))
	                ? 0
	                : -EPROTO;

	if (r == 0 && th->tracee.late_signal.si_signo)
		r = queue_add(&own, &th->tracee.late_signal);
	if (r == 0)
		r = queue_read(&own, th->tid, mask, 0);
	if (r == 0)
		r = queue_read(&shared, th->tid, mask_shared, PTRACE_PEEKSIGINFO_SHARED);
	stop = th->tracee.pending_stop || (own.seen | shared.seen) & signal_bit(SIGSTOP);
	if (r == 0)
		r = queues_keep(&own, &shared, stop, ask);
	return r < 0 ? fail(r, "%s: pending signals of thread %d", task_name(th->task), th->tid)
	             : 0;
}

/* The entries as a field of the message; freed with *RET. */
static int list(siginfo_t *infos, size_t n, ProtobufCBinaryData **ret)
{
	*ret = calloc(n, sizeof(**ret));
	if (!*ret && n)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		(*ret)[i] = (ProtobufCBinaryData){ sizeof(*infos), (uint8_t *)&infos[i] };
	return 0;
}

static int put(struct dump *d, pid_t owner, struct peeked *kept, size_t n_own, size_t n_shared)
{
	Img__Sigpending msg = IMG__SIGPENDING__INIT;
	auto_free ProtobufCBinaryData *own = NULL, *shared = NULL;

	if (!n_own && !n_shared)
		return 0;
	if (list(kept->infos, n_own, &own) < 0 ||
	    list(kept->infos + kept->n_own, n_shared, &shared) < 0)
		return -ENOMEM;
	msg.own = own, msg.n_own = n_own;
	msg.shared = shared, msg.n_shared = n_shared;
	return image_put(d->out, KIND_sigpending, (uint32_t)owner, &msg.base);
}

/* Those of the process stand at its leader, also when that has exited. */
static int sigpending_take(struct dump *d, struct thread *th, const struct script *s,
                           const struct ask *ask)
{
	bool headless = th->task->headless;
	struct peeked *kept = ask->peeked;
	int r;

	if (!kept)
		return 0;
	if (kept->stop)
		lose("%s: thread %d: SIGSTOP came while it was frozen; it will not be stopped",
		     task_name(th->task), th->tid);
	r = put(d, th->tid, kept, kept->n_own, headless ? 0 : kept->n_shared);
	if (r == 0 && headless)
		r = put(d, th->task->pid, kept, 0, kept->n_shared);
	return r;
}

const struct dump_aspect dump_sigpending = {
	.scope = SCOPE_THREAD,
	.peek = sigpending_peek,
	.late = true,
	.take = sigpending_take,
};
