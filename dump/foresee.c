/*
 * A tree that a restore could not make again is refused by the dump, which otherwise would end it. It is the
 * restore that knows: it is asked through the options, as this side does not know of it.
 */
#include "dump/foresee.h"

#include <errno.h>
#include <stdlib.h>

#include "lib/cleanup.h"

static uint32_t owner_pid(const struct task *t, enum table table)
{
	return t->shares[table] == t ? 0 : (uint32_t)t->shares[table]->pid;
}

void task_describe(const struct task *t, Img__Task *ret)
{
	*ret = (Img__Task)IMG__TASK__INIT;
	ret->pid = (uint32_t)t->pid;
	ret->ppid = t->parent ? (uint32_t)t->parent->pid : 0;
	ret->pgid = (uint32_t)t->pgid;
	ret->sid = (uint32_t)t->sid;
	ret->comm = (char *)t->comm;
	ret->state = t->state;
	ret->exit_code = (uint32_t)t->exit_code;
	ret->stop_signal = (uint32_t)t->stop_signal;
	ret->exit_signal = (uint32_t)t->exit_signal;
	ret->leader_exited = t->headless;
	ret->has_ids = t->state == TASK_ZOMBIE;
	ret->uid = t->uid;
	ret->gid = t->gid;
	ret->memory_of = owner_pid(t, TABLE_VM);
	ret->files_of = owner_pid(t, TABLE_FILES);
	ret->fs_of = owner_pid(t, TABLE_FS);
	ret->sighand_of = owner_pid(t, TABLE_SIGHAND);
	ret->sysvsem_of = owner_pid(t, TABLE_SYSVSEM);
	ret->io_of = owner_pid(t, TABLE_IO);
}

int tree_foresee(struct dump *d)
{
	size_t n = d->tasks.n;
	auto_free Img__Task *tasks = NULL;
	auto_free const Img__Task **list = NULL;

	if (!d->opt->foresee || n < 2)
		return 0;
	tasks = calloc(n, sizeof(*tasks));
	list = calloc(n, sizeof(*list));
	if (!tasks || !list)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		task_describe(&d->tasks.v[i], &tasks[i]);
		list[i] = &tasks[i];
	}
	return d->opt->foresee(list, n, d->opt->shell_job);
}
