/*
 * SysV IPC, dump half: which objects of the ipc namespace are the tree's?
 *
 * Nothing leads from a process to them but traces in the objects themselves:
 * - a segment that is attached is a mapping; of another one cpid tells who made it
 *
 * An object without a trace of the tree is none of ours. It stays in the kernel
 * when the tree ends, and is there for it after a restore on the same machine
 * since the same boot; elsewhere it is not. The manual says so.
 */
#include "dump/sysv.h"

#include <errno.h>
#include <string.h>

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

/* The objects are the whole tree's: looked for once. */
static int sysv_look(struct dump *d, struct task *t)
{
	return t->parent ? 0 : sysv_shm_look(d);
}

static int sysv_take(struct dump *d, struct thread *th, const struct script *s,
                     const struct ask *ask)
{
	Img__Sysv msg = IMG__SYSV__INIT;
	int r = th->task->parent ? 0 : sysv_shm_take(d);

	return r > 0 ? image_put(d->out, KIND_sysv, (uint32_t)th->task->pid, &msg.base) : r;
}

const struct dump_aspect dump_sysv = {
	.scope = SCOPE_PROCESS,
	.look = sysv_look,
	.take = sysv_take,
};
