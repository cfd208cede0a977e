/* Tasks by pid: an open hash of places in d->tasks, so that finding one does not depend on their number. */
#include <errno.h>

#include "dump/dump.h"
#include "dump/task.h"

#define SLOTS_MIN 64

/* Where PID is, or the free slot where it belongs; there always is one. */
static uint32_t *slot_of(const struct dump *d, pid_t pid)
{
	const struct task_index *index = &d->index;
	size_t at = (uint32_t)pid * 2654435761u;

	while (index->slots[at & index->mask] &&
	       d->tasks.v[index->slots[at & index->mask] - 1].pid != pid)
		at++;
	return &index->slots[at & index->mask];
}

int tasks_index(struct dump *d)
{
	size_t size = SLOTS_MIN;

	tasks_index_done(d);
	while (size < d->tasks.cap * 2)
		size *= 2;
	d->index.slots = calloc(size, sizeof(*d->index.slots));
	if (!d->index.slots)
		return -ENOMEM;
	d->index.mask = size - 1;
	for (size_t i = 0; i < d->tasks.n; i++)
		*slot_of(d, d->tasks.v[i].pid) = (uint32_t)i + 1;
	return 0;
}

int tasks_index_last(struct dump *d)
{
	if (!d->index.slots || d->index.mask + 1 < d->tasks.cap * 2)
		return tasks_index(d);
	*slot_of(d, d->tasks.v[d->tasks.n - 1].pid) = (uint32_t)d->tasks.n;
	return 0;
}

struct task *task_find(const struct dump *d, pid_t pid)
{
	uint32_t at = d->index.slots ? *slot_of(d, pid) : 0;

	return at ? &d->tasks.v[at - 1] : NULL;
}

void tasks_index_done(struct dump *d)
{
	free(d->index.slots);
	d->index = (struct task_index){};
}
