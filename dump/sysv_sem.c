/*
 * SysV semaphores, dump half. A set is the tree's if one of its processes was
 * the last to operate on a semaphore (sempid), waits for one at the moment of the
 * freeze, or has something to undo there (dump/sysv_undo.c). Others use it, too, if
 * a living process of theirs was the last, or somebody still waits while the
 * whole tree stands still: the tree's own threads have left their queues.
 *
 * Everything is told by semctl(2), which changes nothing, and takes a call for each semaphore:
 * once, before the freeze. Where nobody has operated on a set since (the times of a
 * set are in seconds), the answers still hold. Values are asked for where they are needed.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/sem.h>
#include <sys/syscall.h>
#include <time.h>

#include "dump/sysv.h"
#include "dump/tracees.h"
#include "lib/cleanup.h"
#include "lib/log.h"
#include "lib/sysv.h"
#include "proto/sysv_sem.pb-c.h"

#ifndef SEM_STAT_ANY
#define SEM_STAT_ANY 20
#endif

static const char *set_name(const struct sem_set *set)
{
	return sysv_name(SYSV_SEM, set->semid, (unsigned)set->ds.sem_perm.__key);
}

/* What was read of the set before, where it still holds. */
static bool set_reuse(struct sem_set *set, struct sem_set *was, time_t when)
{
	if (was->semid != set->semid || was->ds.sem_otime != set->ds.sem_otime ||
	    was->ds.sem_ctime != set->ds.sem_ctime || set->ds.sem_otime >= when ||
	    set->ds.sem_ctime >= when)
		return false;
	set->pid = take_ptr(was->pid);
	return set->pid;
}

/* -EIDRM: it has gone meanwhile. */
static int set_read(struct sem_set *set)
{
	size_t n = set->ds.sem_nsems;

	set->pid = calloc(n, sizeof(*set->pid));
	if (!set->pid)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		int pid = semctl(set->semid, (int)i, GETPID);

		if (pid < 0)
			return -errno;
		set->pid[i] = pid;
	}
	return 0;
}

int sysv_sem_values(struct sem_set *set)
{
	if (set->value)
		return 0;
	set->value = calloc(set->ds.sem_nsems, sizeof(*set->value));
	if (!set->value)
		return -ENOMEM;
	return semctl(set->semid, 0, GETALL, (union semun){ .array = set->value }) < 0 ? -errno : 0;
}

static void set_done(struct sem_set *set)
{
	free(set->value);
	free(set->pid);
}

void sysv_sem_forget(struct sysv *v)
{
	array_each (set, &v->sets)
		set_done(set);
	array_done(&v->sets);
}

/* WAS: those of the last time, by index as well. */
static int list(struct sysv *v, struct sem_set *was, size_t n)
{
	struct sem_set *end = was + n;
	struct seminfo info;
	int last = semctl(0, 0, SEM_INFO, (union semun){ .info = &info });

	for (int i = 0; i <= last && info.semusz; i++) {
		struct sem_set set = {}, *at;
		int r;

		set.semid = semctl(i, 0, SEM_STAT_ANY, (union semun){ .buf = &set.ds });
		if (set.semid < 0)
			continue;
		set.index = i;
		while (was < end && was->index < i)
			was++;
		r = was < end && set_reuse(&set, was, v->sets_read) ? 0 : set_read(&set);
		at = r == 0 ? array_add(&v->sets) : NULL;
		if (at) {
			*at = set;
			continue;
		}
		set_done(&set);
		if (r == 0 || r == -ENOMEM)
			return -ENOMEM;
		if (r != -EIDRM && r != -EINVAL && r != -EACCES)
			return fail(r, "%s: read it", sysv_name(SYSV_SEM, set.semid, 0));
	}
	return 0;
}

int sysv_sem_list(struct sysv *v)
{
	struct sysv was = *v;
	time_t now = time(NULL);
	int r;

	v->sets.v = NULL, v->sets.n = v->sets.cap = 0;
	r = list(v, was.sets.v, was.sets.n);
	sysv_sem_forget(&was);
	v->sets_read = now;
	return r;
}

/* ---- whose is it? ---- */

static bool waits_for(const struct task *t, int semid)
{
	array_each (th, &t->threads) {
		long nr;

		if (!arch_in_syscall(thread_regs(th), &nr) ||
		    (nr != SYS_semop && nr != SYS_semtimedop))
			continue;
		if ((int)arch_syscall_arg(thread_regs(th)) == semid)
			return true;
	}
	return false;
}

static const struct task *user_of(const struct dump *d, const struct sem_set *set)
{
	for (size_t i = 0; i < set->ds.sem_nsems; i++)
		array_each (t, &d->tasks)
			if (t->pid == set->pid[i])
				return t;
	array_each (undo, &d->sysv->undos)
		if (undo->semid == set->semid)
			return undo->task;
	array_each (t, &d->tasks)
		if (d->frozen && waits_for(t, set->semid))
			return t;
	return NULL;
}

/* Somebody else who uses SET: named in WHO. */
static bool others_use(const struct dump *d, const struct sem_set *set, char *who, size_t size)
{
	for (size_t i = 0; i < set->ds.sem_nsems; i++) {
		char comm[32];

		if (d->frozen && (semctl(set->semid, (int)i, GETNCNT) > 0 ||
		                  semctl(set->semid, (int)i, GETZCNT) > 0)) {
			snprintf(who, size, "somebody who waits for semaphore %zu", i);
			return true;
		}
		if (!set->pid[i] || sysv_ours(d, set->pid[i]) || kill(set->pid[i], 0) < 0)
			continue;
		sysv_comm(set->pid[i], comm, sizeof(comm));
		snprintf(who, size, "task %d (%s)", set->pid[i], comm);
		return true;
	}
	return false;
}

/* 1: it is the tree's. */
static int set_check(struct dump *d, struct sem_set *set)
{
	const struct task *user = user_of(d, set);
	char who[64];
	int r;

	if (!user)
		return 0;
	if (!others_use(d, set, who, sizeof(who)))
		return 1;
	r = sysv_shared(d, task_name(user), set_name(set), who, &set->kept);
	return r < 0 ? r : 1;
}

int sysv_sem_look(struct dump *d)
{
	int r = sysv_sem_list(d->sysv);

	array_each (set, &d->sysv->sets) {
		if (r < 0)
			return r;
		r = dump_obstacle(d, set_check(d, set));
	}
	return r < 0 ? r : 0;
}

/* ---- records ---- */

static int set_put(struct dump *d, struct sem_set *set)
{
	Img__SysvSem msg = IMG__SYSV_SEM__INIT;
	Img__SysvPerm perm = IMG__SYSV_PERM__INIT;
	size_t n = set->ds.sem_nsems;
	auto_free uint32_t *values = calloc(n, sizeof(*values)), *pids = calloc(n, sizeof(*pids));
	int r = sysv_sem_values(set);

	if (!values || !pids)
		return -ENOMEM;
	if (r < 0)
		return fail(r, "%s: read it", set_name(set));
	for (size_t i = 0; i < n; i++) {
		values[i] = set->value[i];
		pids[i] = (uint32_t)set->pid[i];
	}
	sysv_perm(set->semid, &set->ds.sem_perm, set->ds.sem_ctime, set->kept, &perm);
	msg.id = set->id;
	msg.perm = &perm;
	msg.value = values, msg.n_value = n;
	msg.pid = pids, msg.n_pid = n;
	msg.otime = set->ds.sem_otime;
	return image_put(d->out, KIND_sysv_sem, set->id, &msg.base);
}

int sysv_sem_take(struct dump *d)
{
	uint32_t id = 0;

	array_each (set, &d->sysv->sets) {
		int r = set_check(d, set);

		if (r > 0) {
			set->id = ++id;
			r = set_put(d, set);
		}
		if (r < 0)
			return r;
	}
	return (int)id;
}
