#include "dump/alike.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dump/kernel_memory.h"
#include "lib/cleanup.h"
#include "lib/log.h"
#include "lib/task_facts.h"

#define WORTH 48 /* threads for which asking the kernel pays */
#define SORTS 32 /* in one process; who is like none of so many is asked */
#define MORE  64 /* threads that may be born until the freeze */

/* Forgotten with the dump. */
struct alike {
	int asks; /* task_facts_open() */
};

/* Who has represents: the first of each sort. */
struct sorts {
	uint32_t at[SORTS]; /* in task.threads */
	size_t n;
};

static void add_sort(struct sorts *s, uint32_t at)
{
	if (s->n < SORTS)
		s->at[s->n++] = at;
}

static const struct thread *find_sort(const struct task *t, const struct sorts *s,
                                      const struct task_facts *facts)
{
	for (size_t i = 0; i < s->n; i++)
		if (!task_facts_compare(t->threads.v[s->at[i]].facts, facts, true))
			return &t->threads.v[s->at[i]];
	return NULL;
}

/* The list of the kernel is in the order of ours, but for threads that have come or gone. */
static void match(struct task *t, size_t n)
{
	size_t next = 0;

	array_each (th, &t->threads) {
		th->facts = NULL;
		th->like = NULL;
		for (size_t i = 0; i < n && !th->facts; i++) {
			size_t at = (next + i) % n;

			if (t->facts[at].v[FACT_TID] != (uint64_t)th->tid)
				continue;
			th->facts = &t->facts[at];
			next = at + 1;
		}
	}
}

/* The leader is asked for the process, too, and stands for nobody. Whose script is written already is asked. */
static void divide(struct task *t)
{
	struct sorts sorts = {};

	for (uint32_t i = 1; i < t->threads.n; i++)
		if (t->threads.v[i].facts && t->threads.v[i].script.head)
			add_sort(&sorts, i);
	for (uint32_t i = 1; i < t->threads.n; i++) {
		struct thread *th = &t->threads.v[i];

		if (!th->facts || th->script.head || thread_is_special(th))
			continue;
		th->like = find_sort(t, &sorts, th->facts);
		if (!th->like)
			add_sort(&sorts, i);
	}
}

static void find_in(const struct dump *d, struct task *t)
{
	ssize_t n;

	if (!t->facts || t->state == TASK_ZOMBIE)
		return;
	n = task_facts_all(d->alike->asks, t->pid, t->facts, t->n_facts);
	match(t, n < 0 ? 0 : (size_t)n);
	divide(t);
}

void alike_find(struct dump *d)
{
	array_each (t, &d->tasks)
		find_in(d, t);
}

size_t alike_asked(const struct task *t)
{
	size_t n = 0;

	array_each (th, &t->threads)
		n += !th->like;
	return n;
}

/* What aspects ask of a thread must depend on those facts alone. */
static bool can_answer_for_others(void)
{
	for (size_t i = 0; i < dump_naspects; i++) {
		const struct dump_aspect *aspect = dump_aspects[i].aspect;

		if (aspect->scope == SCOPE_THREAD && aspect->ask && !aspect->alike)
			return false;
	}
	return true;
}

static bool is_worth_it(const struct dump *d)
{
	size_t others = 0;

	array_each (t, &d->tasks)
		others += t->threads.n ? t->threads.n - 1 : 0;
	return others >= WORTH && can_answer_for_others();
}

int alike_prepare(struct dump *d)
{
	if (!is_worth_it(d))
		return 0;
	d->alike = calloc(1, sizeof(*d->alike));
	if (!d->alike)
		return -ENOMEM;
	d->alike->asks = task_facts_open(kernel_layouts(d), FACT_ALL);
	if (d->alike->asks < 0) {
		debug("every thread is asked: %s", strerror(-d->alike->asks));
		return 0;
	}
	array_each (t, &d->tasks) {
		if (t->threads.n < 3)
			continue;
		t->facts = calloc(t->threads.n + MORE, sizeof(*t->facts));
		if (!t->facts)
			return -ENOMEM;
		t->n_facts = t->threads.n + MORE;
	}
	alike_find(d);
	return 0;
}

void alike_done(struct dump *d)
{
	if (d->alike)
		closep(&d->alike->asks);
	free(d->alike);
	d->alike = NULL;
}

bool thread_pending(const struct thread *th, bool shared, uint64_t *ret)
{
	bool known = !shared && th->facts;

	/* A process that has some shared ones is asked (proc_answers_special()). */
	if (known || (shared && th->like && th->like->task != th->task))
		*ret = known ? th->facts->v[FACT_PENDING] : 0;
	else
		return status_u64(thread_asked(th)->status, shared ? "ShdPnd" : "SigPnd", 16, ret);
	return true;
}
