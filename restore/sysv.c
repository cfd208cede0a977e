/*
 * SysV IPC, restore half: ids, and who made what.
 *
 * The id of a new object is chosen by {shm,sem,msg}_next_id of the ipc
 * namespace, for the next one only; an id in use is silently replaced by
 * another one, so the answer is compared. Who made what: restore/sysv_as.c.
 */
#include "restore/sysv.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/fd.h"
#include "lib/log.h"
#include "restore/leftover.h"

struct made {
	enum sysv_type type;
	int id;
};

struct sysv {
	ARRAY(struct made) made;
	ARRAY(void *) attached;
};

#define SYSV_OTHER_ID (-ESTALE) /* it was made with another one, and is removed */

static const char *const next_ids[] = {
	[SYSV_SHM] = "/proc/sys/kernel/shm_next_id",
	[SYSV_SEM] = "/proc/sys/kernel/sem_next_id",
	[SYSV_MSG] = "/proc/sys/kernel/msg_next_id",
};

const char *sysv_perm_name(enum sysv_type type, const Img__SysvPerm *perm)
{
	return sysv_name(type, (int)perm->sysvid, perm->key);
}

int sysv_check_perm(enum sysv_type type, const Img__SysvPerm *perm)
{
	if (!perm)
		return fail(-EBADMSG, "a SysV object without an owner");
	if (perm->sysvid > INT32_MAX || perm->mode & ~(0777u | SHM_DEST | SHM_LOCKED))
		return fail(-EBADMSG, "%s: impossible id or mode", sysv_perm_name(type, perm));
	return 0;
}

static struct sysv *state(struct restore *r)
{
	if (!r->sysv)
		r->sysv = calloc(1, sizeof(*r->sysv));
	return r->sysv;
}

static int remove_object(enum sysv_type type, int id)
{
	int ret = type == SYSV_SHM   ? shmctl(id, IPC_RMID, NULL)
	          : type == SYSV_SEM ? semctl(id, 0, IPC_RMID)
	                             : msgctl(id, IPC_RMID, NULL);

	return ret < 0 ? -errno : 0;
}

static enum leftover left_of(enum sysv_type type)
{
	return type == SYSV_SHM ? LEFT_SHM : type == SYSV_SEM ? LEFT_SEM : LEFT_MSG;
}

/* One that is to be made, and how that went. */
struct call {
	const struct sysv_wish *wish;
	enum sysv_type type;
	int *next; /* shared: could its id be chosen? 0 or -errno */
	int place; /* of the leftover that it would be */
};

/* As that user: the raw calls are those of this thread alone. */
static int make_as(const struct sysv_wish *w, uid_t uid, gid_t gid)
{
	int ret;

	syscall(SYS_setresgid, -1, w->perm->cgid, -1);
	syscall(SYS_setresuid, -1, w->perm->cuid, -1);
	ret = w->make(w->arg);
	syscall(SYS_setresuid, -1, uid, -1);
	syscall(SYS_setresgid, -1, gid, -1);
	return ret;
}

static int call_make(const void *arg)
{
	const struct call *c = arg;
	const struct sysv_wish *w = c->wish;
	uid_t uid = geteuid();
	gid_t gid = getegid();
	char id[16];
	int ret;

	snprintf(id, sizeof(id), "%u", w->perm->sysvid);
	*c->next = file_write(AT_FDCWD, next_ids[c->type], id);
	ret = uid == w->perm->cuid && gid == w->perm->cgid ? w->make(w->arg) : make_as(w, uid, gid);
	if (ret < 0 || (uint32_t)ret == w->perm->sysvid)
		return ret;
	remove_object(c->type, ret);
	return SYSV_OTHER_ID;
}

static int explain_make(const struct call *c, int ret)
{
	const char *name = sysv_perm_name(c->type, c->wish->perm);

	if (ret == SYSV_OTHER_ID && *c->next < 0)
		return fail(*c->next, "%s: choose its id by %s (needs CAP_CHECKPOINT_RESTORE)",
		            name, next_ids[c->type]);
	if (ret == SYSV_OTHER_ID)
		return fail(-EBUSY,
		            "%s: its id, or place in the kernel's table, is in use by another one",
		            name);
	if (ret == -EEXIST)
		return fail(
			-EBUSY,
			"%s: there is another one of that key; remove it (ipcrm) or give --sysv "
			"recreate",
			name);
	if (ret == -ENOSPC)
		return fail(ret, "%s: there are as many as /proc/sys/kernel allows", name);
	return fail(ret, "%s: make it", name);
}

/* This was not made, nor what comes after it; or that is not known, and only the rest was not. */
static void note_failed(struct restore *r, const struct sysv_job *jobs, size_t n)
{
	const struct call *c = jobs[0].arg, *next = n > 1 ? jobs[1].arg : NULL;

	if (jobs[0].ret == -EEXIST || jobs[0].ret == SYSV_OTHER_ID)
		next = c;
	if (next)
		leftover_forget(r, next->place);
}

/* Those that are made, up to the first one that is not. */
static int note_made(struct restore *r, const struct sysv_job *jobs, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const struct call *c = jobs[i].arg;
		struct made *slot = jobs[i].ret < 0 ? NULL : array_add(&r->sysv->made);

		if (jobs[i].ret < 0)
			note_failed(r, jobs + i, n - i);
		if (!slot)
			return jobs[i].ret < 0 ? explain_make(c, jobs[i].ret) : -ENOMEM;
		*slot = (struct made){ c->type, jobs[i].ret };
	}
	return 0;
}

static int make_noted(struct restore *r, struct call *calls, struct sysv_job *jobs, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct call *c = &calls[i];

		c->place = leftover_expect(r, left_of(c->type), "", (int)c->wish->perm->sysvid);
		if (c->place < 0)
			return c->place;
		jobs[i] = (struct sysv_job){ c->wish->pid, call_make, c, 0 };
	}
	sysv_as_all(jobs, n);
	return note_made(r, jobs, n);
}

static int wish_compare(const void *a, const void *b)
{
	const struct sysv_wish *x = a, *y = b;

	return x->pid < y->pid ? -1 : x->pid > y->pid;
}

int sysv_make(struct restore *r, enum sysv_type type, struct sysv_wish *wishes, size_t n)
{
	auto_free struct call *calls = calloc(n + 1, sizeof(*calls));
	auto_free struct sysv_job *jobs = calloc(n + 1, sizeof(*jobs));
	size_t size = (n + 1) * sizeof(int);
	int *next = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int ret = -ENOMEM;

	if (calls && jobs && state(r) && next != MAP_FAILED) {
		qsort(wishes, n, sizeof(*wishes), wish_compare);
		for (size_t i = 0; i < n; i++)
			calls[i] = (struct call){ &wishes[i], type, &next[i], -1 };
		ret = make_noted(r, calls, jobs, n);
	}
	if (next != MAP_FAILED)
		munmap(next, size);
	return ret;
}

int sysv_attachment(struct restore *r, void *at)
{
	void **slot = state(r) ? array_add(&r->sysv->attached) : NULL;

	if (!slot)
		return -ENOMEM;
	*slot = at;
	return 0;
}

void sysv_release(struct restore *r, bool keep)
{
	free(r->segments);
	r->segments = NULL;
	if (!r->sysv)
		return;
	array_each (m, &r->sysv->made)
		if (!keep)
			remove_object(m->type, m->id);
	array_each (at, &r->sysv->attached)
		shmdt(*at);
	array_done(&r->sysv->made);
	array_done(&r->sysv->attached);
	free(r->sysv);
	r->sysv = NULL;
}

static int sysv_check(struct restore *r, uint32_t owner, const ProtobufCMessage *base)
{
	int ret = sysv_msg_check(r);

	return ret < 0 ? ret : sysv_sem_check(r, owner, (const Img__Sysv *)base);
}

/* The root's script is the first: what is nobody's is made on that occasion. */
static int sysv_build(struct restore *r, struct rthread *th, const ProtobufCMessage *base,
                      struct script *s)
{
	int ret = th->task->parent ? 0 : sysv_shm_make_detached(r);

	if (ret < 0 || th->task->parent || r->opt->explain)
		return ret;
	ret = sysv_sem_make(r);
	return ret < 0 ? ret : sysv_msg_make(r);
}

static int sysv_thread(struct restore *r, struct rthread *th, const ProtobufCMessage *base,
                       struct script *s)
{
	sysv_sem_undo(r, (const Img__Sysv *)base, s);
	return 0;
}

static int sysv_process(struct restore *r, struct rthread *th, const ProtobufCMessage *base,
                        struct script *s)
{
	sysv_sem_last(r, (const Img__Sysv *)base, s);
	return 0;
}

const struct restore_aspect restore_sysv = {
	.check = sysv_check,
	.emit = { [PHASE_BUILD] = sysv_build,
	          [PHASE_THREAD] = sysv_thread,
	          [PHASE_PROCESS] = sysv_process },
};
