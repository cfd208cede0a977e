/*
 * SysV IPC, restore half: ids, and who made what.
 *
 * The id of a new object is chosen by {shm,sem,msg}_next_id of the ipc
 * namespace, for the next one only; an id in use is silently replaced by
 * another one, so the answer is compared.
 *
 * The kernel notes the numbers of processes in the objects. As long as the tree
 * is not there, its numbers are free: a short-lived process of that number
 * does what shall bear it.
 */
#include "restore/numbers.h"
#include "restore/sysv.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

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

/* ---- as somebody else ---- */

/* The answer of FN in a process of number PID, or -EAGAIN: there is none to be had. */
static int in_process(pid_t pid, int (*fn)(const void *arg), const void *arg)
{
	struct clone_args args = { .exit_signal = SIGCHLD,
		                   .set_tid = (uint64_t)&pid,
		                   .set_tid_size = 1 };
	int *answer = mmap(NULL, sizeof(*answer), PROT_READ | PROT_WRITE,
	                   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int ret = -EAGAIN, status;
	long child;

	if (answer == MAP_FAILED)
		return -errno;
	*answer = -ECHILD;
	child = clone_when_free(&args);
	if (child == 0) {
		*answer = fn(arg);
		_exit(0);
	}
	if (child > 0) {
		while (waitpid((pid_t)child, &status, 0) < 0 && errno == EINTR)
			continue;
		ret = *answer;
	}
	munmap(answer, sizeof(*answer));
	return ret;
}

int sysv_as(pid_t pid, int (*fn)(const void *arg), const void *arg)
{
	int ret = pid > 1 && pid != getpid() ? in_process(pid, fn, arg) : -EAGAIN;

	return ret == -EAGAIN ? fn(arg) : ret;
}

static enum leftover left_of(enum sysv_type type)
{
	return type == SYSV_SHM ? LEFT_SHM : type == SYSV_SEM ? LEFT_SEM : LEFT_MSG;
}

struct call {
	enum sysv_type type;
	const Img__SysvPerm *perm;
	int (*make)(const void *arg);
	const void *arg;
};

/* As that user: the raw calls are those of this thread alone. */
static int call_make(const void *arg)
{
	const struct call *c = arg;
	uid_t uid = geteuid();
	gid_t gid = getegid();
	int ret;

	syscall(SYS_setresgid, -1, c->perm->cgid, -1);
	syscall(SYS_setresuid, -1, c->perm->cuid, -1);
	ret = c->make(c->arg);
	syscall(SYS_setresuid, -1, uid, -1);
	syscall(SYS_setresgid, -1, gid, -1);
	return ret;
}

static int explain_make(const struct call *c, int ret)
{
	const char *name = sysv_perm_name(c->type, c->perm);

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

int sysv_make(struct restore *r, enum sysv_type type, const Img__SysvPerm *perm, pid_t pid,
              int (*make)(const void *arg), const void *arg)
{
	struct call c = { type, perm, make, arg };
	struct made *slot = state(r) ? array_add(&r->sysv->made) : NULL;
	char id[16];
	int ret, next, place = leftover_expect(r, left_of(type), "", (int)perm->sysvid);

	if (!slot || place < 0)
		return slot ? place : -ENOMEM;
	snprintf(id, sizeof(id), "%u", perm->sysvid);
	next = file_write(AT_FDCWD, next_ids[type], id);
	ret = sysv_as(pid, call_make, &c);
	if (ret >= 0 && (uint32_t)ret == perm->sysvid) {
		*slot = (struct made){ type, ret };
		return 0;
	}
	r->sysv->made.n--;
	leftover_forget(r, place);
	if (ret < 0)
		return explain_make(&c, ret);
	remove_object(type, ret);
	if (next < 0)
		return fail(next, "%s: choose its id by %s (needs CAP_CHECKPOINT_RESTORE)",
		            sysv_perm_name(type, perm), next_ids[type]);
	return fail(-EBUSY, "%s: its id, or place in the kernel's table, is in use by another one",
	            sysv_perm_name(type, perm));
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
