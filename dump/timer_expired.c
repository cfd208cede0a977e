#include "dump/timer_expired.h"

#include <errno.h>
#include <stdlib.h>

#include "dump/alike.h"
#include "dump/kernel_memory.h"
#include "lib/procstate.h"
#include "lib/task_facts.h"

#define TIMERS_MAX (1 << 20)

/* The task that /proc/PID, of which T has a descriptor, is about. */
static uint64_t kernel_task(struct kmem_reader *r, const struct task *t)
{
	const struct place inode = kmem_place(r, "proc_inode", "vfs_inode"),
			   pids = kmem_place(r, "pid", "tasks"),
			   links = kmem_place(r, "task_struct", "pid_links"),
			   first = { .found = true, .at = pids.at, .size = 8 };
	uint64_t file = 0, pid, node;

	kmem_failed(r, kmem_file(r->k, t->proc, &file));
	pid = kmem_get(r, "proc_inode", "pid", kmem_get(r, "file", "f_inode", file) - inode.at);
	node = kmem_get_at(r, &first, pid);
	return r->error ? 0 : node - links.at;
}

static int by_id(const void *a, const void *b)
{
	const struct expired *x = a, *y = b;

	return (x->id > y->id) - (x->id < y->id);
}

static void note(struct kmem_reader *r, uint64_t timer, struct expired *list, size_t n)
{
	const struct expired key = { .id = (uint32_t)kmem_get(r, "k_itimer", "it_id", timer) };
	struct expired *one = r->error ? NULL : bsearch(&key, list, n, sizeof(*list), by_id);
	int64_t overrun;

	if (!one)
		return;
	/* -1: none; 0: once, without any other. */
	overrun = (int64_t)kmem_get(r, "k_itimer", "it_overrun", timer);
	one->times = overrun < 0 ? 0 : (uint64_t)overrun + 1;
}

int timer_expired(struct dump *d, const struct task *t, struct expired *list, size_t n)
{
	struct kmem_reader r = { .k = kernel_memory(d) };
	struct place link, next = { .found = true, .size = 8 };
	uint64_t node;

	if (!r.k)
		return -EOPNOTSUPP;
	link = kmem_place(&r, "k_itimer", "list");
	node = kmem_get(&r, "signal_struct", "posix_timers.first",
	                kmem_get(&r, "task_struct", "signal", kernel_task(&r, t)));
	for (int i = 0; !r.error && node && i < TIMERS_MAX; i++) {
		note(&r, node - link.at, list, n);
		node = kmem_get_at(&r, &next, node);
	}
	return r.error;
}

uint64_t timer_signals_waiting(const struct task *t)
{
	uint64_t all = 0;

	array_each (th, &t->threads) {
		uint64_t own = 0, shared = 0;

		thread_pending(th, false, &own);
		thread_pending(th, true, &shared);
		all |= own | shared;
	}
	return all;
}
