#include "dump/alike_tasks.h"

#include <errno.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "dump/alike.h"
#include "dump/kernel_memory.h"
#include "dump/together.h"
#include "lib/cleanup.h"
#include "lib/log.h"
#include "lib/proc_answers.h"

/* Forgotten with the dump. */
struct alike_tasks {
	struct proc_answers_ask ask;
	struct proc_answers *answers; /* of everybody, once all stand still */
	void *sorts;                  /* a task that is asked, of each */
};

bool alike_tasks_wanted(const struct dump *d)
{
	return d->alike_tasks;
}

/* Memory that is copied by the task itself, or tracked, is a matter of its own. */
static bool is_worth_it(const struct dump *d)
{
	return together_tells(d) && !d->opt->snapshot && !d->opt->memory_only && !d->opt->track &&
	       !d->opt->prev && !d->opt->chain;
}

int alike_tasks_prepare(struct dump *d)
{
	struct alike_tasks *a;
	int r;

	if (!is_worth_it(d))
		return 0;
	a = calloc(1, sizeof(*a));
	if (!a)
		return -ENOMEM;
	r = proc_answers_open(kernel_layouts(d), &a->ask);
	if (r < 0) {
		debug("every process is asked: %s", strerror(-r));
		free(a);
		return 0;
	}
	d->alike_tasks = a;
	return 0;
}

void alike_tasks_read(struct dump *d)
{
	struct alike_tasks *a = d->alike_tasks;
	ssize_t n = a ? proc_answers_read(&a->ask, &a->answers) : 0;

	for (ssize_t i = 0; i < n; i++) {
		struct task *t = task_find(d, (pid_t)a->answers[i].task.v[FACT_TID]);

		if (t && t->state != TASK_ZOMBIE)
			t->answers = &a->answers[i];
	}
}

/* Where it stands the kernel may have left it before the vDSO, or a dump that was killed, was through. */
static bool is_in_vdso(const struct task *t)
{
	const struct vma *v = vmas_vdso(t);
	uint64_t ip = arch_ip(&t->threads.v[0].tracee.regs);

	return v && ip >= v->start && ip < v->end;
}

static bool asks_alike(struct dump *d, struct task *t)
{
	for (size_t i = 0; i < dump_naspects; i++) {
		const struct dump_aspect *aspect = dump_aspects[i].aspect;

		if (!aspect->ask || !(t->concerned & UINT64_C(1) << i))
			continue;
		if (!aspect->alike || (aspect->special && aspect->special(d, t)))
			return false;
	}
	return true;
}

/* Do its facts say all of it? */
static bool is_plain(struct dump *d, struct task *t)
{
	const struct thread *th = t->threads.v;

	return t->answers && t->parent && t->state == TASK_ALIVE && t->threads.n == 1 &&
	       !t->headless && !th->tracee.stop_signal && !thread_is_special(th) && mm_of(t) == t &&
	       t->mm_users == 1 && t->kept && !is_in_vdso(t) && !proc_answers_special(t->answers) &&
	       asks_alike(d, t);
}

static int by_answers(const void *a, const void *b)
{
	const struct task *x = a, *y = b;

	if (x->concerned != y->concerned)
		return x->concerned < y->concerned ? -1 : 1;
	if (x->outsider != y->outsider)
		return x->outsider < y->outsider ? -1 : 1;
	return proc_answers_compare(x->answers, y->answers);
}

int alike_task(struct dump *d, struct task *t)
{
	struct task **found;

	if (!is_plain(d, t))
		return 0;
	found = tsearch(t, &d->alike_tasks->sorts, by_answers);
	if (!found)
		return -ENOMEM;
	if (*found == t)
		return 0;
	t->threads.v[0].like = (*found)->threads.v;
	t->threads.v[0].facts = &t->answers->task;
	t->mm_asked = 0;
	return 0;
}

static void keep(void *task)
{
}

void alike_tasks_done(struct dump *d)
{
	struct alike_tasks *a = d->alike_tasks;

	if (!a)
		return;
	tdestroy(a->sorts, keep);
	proc_answers_done(&a->ask);
	free(a->answers);
	free(a);
	d->alike_tasks = NULL;
}
