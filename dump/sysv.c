/*
 * SysV IPC, dump half: which objects of the ipc namespace are the tree's?
 *
 * Nothing leads from a process to them but traces in the objects themselves:
 * - a segment that is attached is a mapping; of another one cpid tells who made it
 * - a semaphore has the number of who operated on it last (dump/sysv_sem.c); who waits
 *   for one does so in a system call; and who will undo something is asked (dump/sysv_undo.c)
 * - a queue has the numbers of who sent and received last (dump/sysv_msg.c)
 *
 * An object without a trace of the tree is none of ours. It stays in the kernel
 * when the tree ends, and is there for it after a restore on the same machine
 * since the same boot; elsewhere it is not. The manual says so.
 */
#include "dump/sysv.h"

#include <errno.h>
#include <string.h>

#include "lib/cleanup.h"
#include "lib/log.h"
#include "lib/sysv.h"

bool sysv_ours(const struct dump *d, pid_t pid)
{
	array_each (t, &d->tasks)
		if (t->pid == pid)
			return true;
	return false;
}

int sysv_shared(const struct dump *d, const char *t, const char *object, const char *who,
                bool *ret_kept)
{
	*ret_kept = d->opt->sysv == SYSV_KEEP;
	if (d->opt->sysv != SYSV_OWN)
		return 0;
	return fail(-ENOTSUP,
	            "%s: %s: is used by %s, too; --sysv keep leaves it as it is, --sysv recreate "
	            "saves it as if it were the tree's alone",
	            t, object, who);
}

void sysv_perm(int id, const struct ipc_perm *perm, time_t ctime, bool kept, Img__SysvPerm *msg)
{
	msg->sysvid = (uint32_t)id;
	msg->key = (uint32_t)perm->__key;
	msg->mode = perm->mode;
	msg->uid = perm->uid;
	msg->gid = perm->gid;
	msg->cuid = perm->cuid;
	msg->cgid = perm->cgid;
	msg->ctime = ctime;
	msg->kept = kept;
}

void sysv_done(struct dump *d)
{
	if (!d->sysv)
		return;
	sysv_sem_forget(d->sysv);
	array_done(&d->sysv->segments.list);
	array_done(&d->sysv->undos);
	free(d->sysv);
	d->sysv = NULL;
}

int sysv_begin(struct dump *d)
{
	if (!d->sysv)
		d->sysv = calloc(1, sizeof(*d->sysv));
	return d->sysv ? 0 : -ENOMEM;
}

/* The objects are the whole tree's: looked for once. */
static int sysv_look(struct dump *d, struct task *t)
{
	int r = t->parent ? 0 : sysv_begin(d);

	if (t->parent || r < 0)
		return r;
	r = sysv_shm_look(d);
	if (r == 0)
		r = sysv_sem_look(d);
	return r < 0 ? r : sysv_msg_look(d);
}

static int sysv_ask(struct dump *d, struct thread *th, struct script *s, struct ask *ret)
{
	int r = th->task->parent ? 0 : sysv_begin(d);

	if (r == 0 && !th->task->parent) {
		array_done(&d->sysv->undos);
		r = sysv_sem_list(d->sysv);
	}
	return r < 0 ? r : sysv_undo_ask(d, th->task, s, &ret->at);
}

/* The first is asked what the namespace has; who has anything to undo is known. */
static bool sysv_special(struct dump *d, struct task *t)
{
	return !t->parent;
}

static int sysv_talk(struct dump *d, struct thread *th, const struct ask *ask)
{
	return sysv_undo_talk(d, th->task, ask->at);
}

/* ---- records ---- */

static const struct sem_set *set_of(const struct dump *d, int semid)
{
	array_each (set, &d->sysv->sets)
		if (set->semid == semid)
			return set;
	return NULL;
}

/* What T has to undo, and where it must be the last although others undo. */
static int put_process(struct dump *d, const struct task *t, bool always)
{
	size_t n = d->sysv->undos.n, nundo = 0, nlast = 0;
	auto_free Img__Sysv__Undo *undo = calloc(n + 1, sizeof(*undo));
	auto_free Img__Sysv__Last *last = calloc(n + 1, sizeof(*last));
	auto_free Img__Sysv__Undo **undos = calloc(n + 1, sizeof(*undos));
	auto_free Img__Sysv__Last **lasts = calloc(n + 1, sizeof(*lasts));
	Img__Sysv msg = IMG__SYSV__INIT;

	if (!undo || !last || !undos || !lasts)
		return -ENOMEM;
	array_each (u, &d->sysv->undos) {
		const struct sem_set *set = set_of(d, u->semid);

		if (u->task == t) {
			undos[nundo] = &undo[nundo];
			img__sysv__undo__init(&undo[nundo]);
			undo[nundo].set = set->id;
			undo[nundo].num = u->num;
			undo[nundo++].adjust = u->adjust;
		} else if (set->pid[u->num] == t->pid && !set->kept) {
			lasts[nlast] = &last[nlast];
			img__sysv__last__init(&last[nlast]);
			last[nlast].set = set->id;
			last[nlast++].num = u->num;
		}
	}
	if (!always && !nundo && !nlast)
		return 0;
	msg.undo = undos, msg.n_undo = nundo;
	msg.last = lasts, msg.n_last = nlast;
	return image_put(d->out, KIND_sysv, (uint32_t)t->pid, &msg.base);
}

static int sysv_take(struct dump *d, struct thread *th, const struct script *s,
                     const struct ask *ask)
{
	int segments = 0, sets = 0, queues = 0;

	if (!th->task->parent) {
		segments = sysv_shm_take(d);
		sets = segments < 0 ? segments : sysv_sem_take(d);
		queues = sets < 0 ? sets : sysv_msg_take(d);
	}
	return queues < 0 ? queues : put_process(d, th->task, segments || sets || queues);
}

const struct dump_aspect dump_sysv = {
	.scope = SCOPE_PROCESS,
	.look = sysv_look,
	.ask = sysv_ask,
	.alike = true,
	.special = sysv_special,
	.talk = sysv_talk,
	.take = sysv_take,
};
