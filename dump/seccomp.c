/*
 * seccomp, dump half. PTRACE_SECCOMP_GET_FILTER shows the chain of a thread,
 * index 0 being the oldest filter; a tracer that runs under seccomp itself may
 * not look (EACCES). Threads mostly have equal chains, so that each program is
 * stored once, at the leader, in whose turn all threads are taken.
 *
 * SECCOMP_FILTER_FLAG_SPEC_ALLOW is not shown; what it decides is (prctl.c). A
 * filter that asks a supervisor (SECCOMP_RET_USER_NOTIF) is refused: the
 * listener is a descriptor that cannot be made again.
 */
#include <errno.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <string.h>
#include <sys/ptrace.h>

#include "dump/alike.h"
#include "dump/dump.h"
#include "dump/stages.h"
#include "lib/cleanup.h"
#include "lib/fd.h"
#include "lib/kernel.h"
#include "lib/log.h"
#include "proto/seccomp.pb-c.h"

struct program {
	struct sock_filter *insns;
	size_t n;
	bool log;
};

struct chain {
	ARRAY(uint32_t) filters; /* indices of programs */
};

struct programs {
	ARRAY(struct program) list;
};

/* The filters of a thread, one behind the other, each behind its head. */
struct peeked {
	size_t size;
	unsigned char bytes[];
};

struct peeked_filter {
	uint32_t n, log;
	struct sock_filter insns[];
};

#define FILTER_SIZE(n) (sizeof(struct peeked_filter) + (n) * sizeof(struct sock_filter))

static void programs_done(struct programs *p)
{
	array_each (prog, &p->list)
		free(prog->insns);
	array_done(&p->list);
}

static void chain_done(struct chain *c)
{
	array_done(&c->filters);
}

static uint64_t seccomp_mode(const struct thread *th)
{
	uint64_t mode = 0;

	status_u64(thread_asked(th)->status, "Seccomp", 10, &mode);
	return mode;
}

static bool asks_supervisor(const struct program *p)
{
	for (size_t i = 0; i < p->n; i++)
		if (BPF_CLASS(p->insns[i].code) == BPF_RET && BPF_RVAL(p->insns[i].code) == BPF_K &&
		    (p->insns[i].k & SECCOMP_RET_ACTION_FULL) == SECCOMP_RET_USER_NOTIF)
			return true;
	return false;
}

/* The index of PROG, which is copied when it is new; GUESS is looked at first. */
static int programs_find(struct programs *all, const struct program *prog, size_t guess)
{
	size_t size = prog->n * sizeof(*prog->insns);
	struct program *p;

	for (size_t i = 0; i < all->list.n; i++) {
		size_t at = (guess + i) % all->list.n;

		p = &all->list.v[at];
		if (p->n == prog->n && p->log == prog->log && !memcmp(p->insns, prog->insns, size))
			return (int)at;
	}
	p = array_add(&all->list);
	if (!p)
		return -ENOMEM;
	*p = *prog;
	p->insns = malloc(size);
	if (!p->insns)
		return -ENOMEM;
	memcpy(p->insns, prog->insns, size);
	return (int)(all->list.n - 1);
}

/* Filter number AT of the thread: 1, or 0 behind the last one. */
static int filter_read(const struct thread *th, uint64_t at, struct program *ret)
{
	struct __ptrace_seccomp_metadata meta = { .filter_off = at };
	long n = ptrace(PTRACE_SECCOMP_GET_FILTER, th->tid, at, ret->insns);

	if (n < 0 && errno == ENOENT)
		return 0;
	if (n < 0 && errno == EACCES)
		return fail(
			-EACCES,
			"%s: thread %d: its seccomp filters may be read only with CAP_SYS_ADMIN "
			"and by a crtool that runs under no filter itself",
			task_name(th->task), th->tid);
	if (n < 0 || ptrace(PTRACE_SECCOMP_GET_METADATA, th->tid, sizeof(meta), &meta) < 0)
		return fail(-errno, "%s: thread %d: read its seccomp filter %llu",
		            task_name(th->task), th->tid, (unsigned long long)at);
	ret->n = (size_t)n;
	ret->log = meta.flags & SECCOMP_FILTER_FLAG_LOG;
	return 1;
}

/* A copy of PROG behind what was read. */
static int keep_filter(const struct program *prog, struct ask *ask)
{
	struct peeked *kept = ask->peeked;
	size_t had = kept ? kept->size : 0, size = FILTER_SIZE(prog->n);
	struct peeked_filter *filter;

	kept = realloc(kept, sizeof(*kept) + had + size);
	if (!kept)
		return -ENOMEM;
	ask->peeked = kept;
	kept->size = had + size;
	filter = (struct peeked_filter *)(kept->bytes + had);
	filter->n = (uint32_t)prog->n;
	filter->log = prog->log;
	memcpy(filter->insns, prog->insns, prog->n * sizeof(*prog->insns));
	return 0;
}

static int seccomp_peek(struct dump *d, struct thread *th, struct ask *ask)
{
	struct sock_filter insns[BPF_MAXINSNS];
	struct program prog = { .insns = insns };
	int r = seccomp_mode(th) == SECCOMP_MODE_FILTER;

	for (uint64_t at = 0; r > 0; at++) {
		r = filter_read(th, at, &prog);
		if (r <= 0)
			break;
		if (asks_supervisor(&prog))
			return fail(-ENOTSUP,
			            "%s: thread %d: a seccomp filter that asks a supervisor "
			            "(SECCOMP_RET_USER_NOTIF) cannot be saved",
			            task_name(th->task), th->tid);
		if (keep_filter(&prog, ask) < 0)
			return -ENOMEM;
	}
	return r < 0 ? fail(r, "%s: seccomp", task_name(th->task)) : 0;
}

static int chain_read(const struct ask *ask, struct programs *all, struct chain *ret)
{
	const struct peeked *kept = ask->peeked;
	size_t at = 0;

	while (kept && at < kept->size) {
		struct peeked_filter *f = (struct peeked_filter *)(kept->bytes + at);
		struct program prog = { .insns = f->insns, .n = f->n, .log = f->log };
		int i = programs_find(all, &prog, ret->filters.n);
		uint32_t *p = i < 0 ? NULL : array_add(&ret->filters);

		if (!p)
			return -ENOMEM;
		*p = (uint32_t)i;
		at += FILTER_SIZE(f->n);
	}
	return 0;
}

static int put(struct dump *d, const struct thread *th, const struct chain *chain,
               Img__Seccomp *msg)
{
	msg->mode = (uint32_t)seccomp_mode(th);
	msg->chain = chain->filters.v;
	msg->n_chain = chain->filters.n;
	return image_put(d->out, KIND_seccomp, (uint32_t)th->tid, &msg->base);
}

/* A leader that has exited has no filters any more, but is the one who keeps the programs. */
static int put_exited(struct dump *d, const struct thread *th, const struct chain *chain,
                      Img__Seccomp *leader)
{
	Img__Seccomp msg = IMG__SECCOMP__INIT;
	int r = image_put(d->out, KIND_seccomp, (uint32_t)th->task->pid, &leader->base);

	return r < 0 || !seccomp_mode(th) ? r : put(d, th, chain, &msg);
}

/* The record of the leader, with all programs. */
static int put_leader(struct dump *d, const struct thread *th, const struct chain *chain,
                      const struct programs *all, bool shared)
{
	Img__Seccomp msg = IMG__SECCOMP__INIT;
	auto_free Img__Seccomp__Filter *filters = calloc(all->list.n + 1, sizeof(*filters));
	auto_free Img__Seccomp__Filter **list = calloc(all->list.n + 1, sizeof(*list));

	if (!filters || !list)
		return -ENOMEM;
	for (size_t i = 0; i < all->list.n; i++) {
		const struct program *p = &all->list.v[i];

		img__seccomp__filter__init(&filters[i]);
		filters[i].program.data = (uint8_t *)p->insns;
		filters[i].program.len = p->n * sizeof(*p->insns);
		filters[i].log = p->log;
		list[i] = &filters[i];
	}
	msg.n_filters = all->list.n;
	msg.filters = list;
	msg.shared = shared && !th->task->headless;
	return th->task->headless ? put_exited(d, th, chain, &msg) : put(d, th, chain, &msg);
}

static bool same_chain(const struct chain *a, const struct chain *b)
{
	return a->filters.n == b->filters.n &&
	       (!a->filters.n ||
	        !memcmp(a->filters.v, b->filters.v, a->filters.n * sizeof(*a->filters.v)));
}

/* All threads but the leader; *SHARED stays true if all of them have its chain. */
static int take_others(struct dump *d, const struct task *t, size_t room, struct programs *all,
                       const struct chain *leader, bool *shared)
{
	for (size_t i = 1; i < t->threads.n; i++) {
		const struct thread *th = &t->threads.v[i];
		auto_(chain_done) struct chain chain = {};
		Img__Seccomp msg = IMG__SECCOMP__INIT;
		int r = chain_read(&th->asks[room], all, &chain);

		*shared &= same_chain(&chain, leader);
		if (r == 0 && seccomp_mode(th))
			r = put(d, th, &chain, &msg);
		if (r < 0)
			return r;
	}
	return 0;
}

static int seccomp_take(struct dump *d, struct thread *th, const struct script *s,
                        const struct ask *ask)
{
	auto_(programs_done) struct programs all = {};
	auto_(chain_done) struct chain chain = {};
	bool shared = true, any = false;
	int r = 0;

	array_each (other, &th->task->threads)
		any |= seccomp_mode(other) != SECCOMP_MODE_DISABLED;
	if (!any)
		return 0;
	r = chain_read(ask, &all, &chain);
	if (r == 0)
		r = take_others(d, th->task, (size_t)(ask - th->asks), &all, &chain, &shared);
	if (r == 0)
		r = put_leader(d, th, &chain, &all, shared);
	return r < 0 ? fail(r, "%s: seccomp", task_name(th->task)) : 0;
}

/* Who may not suspend filters need not stop anybody to learn that. */
static int seccomp_look(struct dump *d, struct task *t)
{
	if (own_capability(CAP_SYS_ADMIN))
		return 0; /* but for a user namespace: check_filters() has the last word */
	array_each (th, &t->threads) {
		auto_free char *status = NULL;
		uint64_t mode = 0;
		char path[48];

		snprintf(path, sizeof(path), "task/%d/status", th->tid);
		if (file_read(t->proc, path, &status) > 0)
			status_u64(status, "Seccomp", 10, &mode);
		if (mode)
			return check_filters(th);
	}
	return 0;
}

const struct dump_aspect dump_seccomp = {
	.look = seccomp_look,
	.scope = SCOPE_PROCESS,
	.peek = seccomp_peek,
	.late = true,
	.take = seccomp_take,
};
