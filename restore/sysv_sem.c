/*
 * SysV semaphores, restore half. The coordinator makes the set, or finds the
 * one that survived its processes in the kernel, and gives every semaphore its
 * value by a process of the number that operated on it last, which the kernel notes. A
 * set that is as it was is left alone: then its times are kept, too.
 *
 * What a process had to undo is put in place by itself: +n with SEM_UNDO and -n
 * without in one semop(2), which leaves the value as it is. That makes it the last to
 * have operated on it; if it was not, whoever was does nothing of consequence
 * after it. A kept set was given its undo by the kernel when the process ended:
 * there it is taken back, which fails if somebody else has the semaphore by now.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sem.h>
#include <sys/syscall.h>

#include "lib/cleanup.h"
#include "lib/log.h"
#include "lib/sysv.h"
#include "restore/sysv.h"

#define VALUE_MAX 32767 /* SEMVMX */
#define SETS_MAX  32000 /* SEMMSL */

union semun {
	int val;
	struct semid_ds *buf;
	unsigned short *array;
};

static const Img__SysvSem *set_record(const struct restore *r, uint32_t id)
{
	return (const Img__SysvSem *)images_one(r->images, KIND_sysv_sem, id);
}

static const char *name_of(const Img__SysvSem *m)
{
	return sysv_perm_name(SYSV_SEM, m->perm);
}

static int set_check(const Img__SysvSem *m)
{
	int ret = sysv_check_perm(SYSV_SEM, m->perm);

	if (ret < 0)
		return ret;
	if (!m->n_value || m->n_value > SETS_MAX || m->n_pid != m->n_value)
		return fail(-EBADMSG, "%s: impossible number of semaphores", name_of(m));
	for (size_t i = 0; i < m->n_value; i++)
		if (m->value[i] > VALUE_MAX || m->pid[i] > INT32_MAX)
			return fail(-EBADMSG, "%s: impossible value", name_of(m));
	return 0;
}

int sysv_sem_check(struct restore *r, uint32_t owner, const Img__Sysv *msg)
{
	size_t n;
	const struct record *rec = images_kind(r->images, KIND_sysv_sem, &n);

	for (size_t i = 0; i < n; i++) {
		int ret = set_check((const Img__SysvSem *)rec[i].msg);

		if (ret < 0)
			return ret;
	}
	for (size_t i = 0; i < msg->n_undo; i++) {
		const Img__Sysv__Undo *u = msg->undo[i];
		const Img__SysvSem *m = set_record(r, u->set);

		if (!m || u->num >= m->n_value || !u->adjust || u->adjust < -32768 ||
		    u->adjust > VALUE_MAX)
			return fail(-EBADMSG, "task %u: undoes what no semaphore can be", owner);
	}
	for (size_t i = 0; i < msg->n_last; i++) {
		const Img__SysvSem *m = set_record(r, msg->last[i]->set);

		if (!m || msg->last[i]->num >= m->n_value)
			return fail(-EBADMSG, "task %u: operates on no semaphore", owner);
	}
	return 0;
}

/* ---- the one that may be there ---- */

enum found { FOUND_NONE, FOUND_OTHER, FOUND_AS_IT_IS };

/* Who was the last to operate on semaphore I of set ID when the tree was dumped; 0: it was not that set. */
static uint32_t last_then(const Img__SysvSem *m, int id, size_t i)
{
	return id == (int)m->perm->sysvid && i < m->n_value ? m->pid[i] : 0;
}

/* The set ID of N semaphores has the id or key of M: somebody has operated on it since, or waits there. */
static int check_unused(const struct restore *r, const Img__SysvSem *m, int id, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		int pid = semctl(id, (int)i, GETPID);
		char comm[32];

		if (semctl(id, (int)i, GETNCNT) > 0 || semctl(id, (int)i, GETZCNT) > 0)
			return fail(-EBUSY, "%s: somebody waits for semaphore %zu", name_of(m), i);
		if (pid <= 0 || (uint32_t)pid == last_then(m, id, i) || rtask_find(r, pid) ||
		    kill(pid, 0) < 0)
			continue;
		sysv_comm(pid, comm, sizeof(comm));
		return fail(-EBUSY,
		            "%s: is in use by task %d (%s); --sysv keep uses it as it is, with the "
		            "values of now",
		            name_of(m), pid, comm);
	}
	return 0;
}

static int clear_way(const struct restore *r, const Img__SysvSem *m)
{
	int ids[] = { (int)m->perm->sysvid, m->perm->key ? semget((key_t)m->perm->key, 0, 0) : -1 };

	for (size_t i = 0; i < ARRAY_SIZE(ids); i++) {
		struct semid_ds ds;
		int ret;

		if (ids[i] < 0 || semctl(ids[i], 0, IPC_STAT, (union semun){ .buf = &ds }) < 0)
			continue;
		ret = check_unused(r, m, ids[i], ds.sem_nsems);
		if (ret < 0)
			return ret;
		if (semctl(ids[i], 0, IPC_RMID) < 0)
			return fail(-errno, "%s: remove the one that is there", name_of(m));
	}
	return FOUND_NONE;
}

static int find_set(struct restore *r, const Img__SysvSem *m)
{
	bool keep = m->perm->kept || r->opt->sysv == SYSV_KEEP;
	struct semid_ds ds;
	int ret;

	if (!keep && r->opt->sysv == SYSV_RECREATE)
		return clear_way(r, m);
	if (semctl((int)m->perm->sysvid, 0, IPC_STAT, (union semun){ .buf = &ds }) < 0) {
		if (m->perm->kept)
			return fail(-ENOTSUP,
			            "%s: was kept by the dump (--sysv keep) and is gone since then",
			            name_of(m));
		return FOUND_NONE;
	}
	/* Whoever sets values changes ctime: that is no mark. */
	if (!pool_same_boot(r) || (uint32_t)ds.sem_perm.__key != m->perm->key ||
	    ds.sem_nsems != m->n_value || ds.sem_perm.cuid != m->perm->cuid)
		return fail(-EBUSY,
		            "%s: its id is in use by another one, of %lu semaphores with key %#x; "
		            "remove that (ipcrm -s %u) or give --sysv recreate",
		            name_of(m), ds.sem_nsems, (unsigned)ds.sem_perm.__key, m->perm->sysvid);
	if (keep)
		return FOUND_AS_IT_IS;
	ret = check_unused(r, m, (int)m->perm->sysvid, ds.sem_nsems);
	return ret < 0 ? ret : FOUND_OTHER;
}

/* ---- making ---- */

static int request_make(const void *arg)
{
	const Img__SysvSem *m = arg;
	int id = semget((key_t)m->perm->key, (int)m->n_value,
	                IPC_CREAT | IPC_EXCL | (int)(m->perm->mode & 0777));

	return id < 0 ? -errno : id;
}

struct share {
	const Img__SysvSem *m;
	uint32_t pid;
};

/* What the process of that number was the last to operate on. */
static int set_values(const void *arg)
{
	const struct share *share = arg;
	const Img__SysvSem *m = share->m;
	int id = (int)m->perm->sysvid, last = -1;

	for (size_t i = 0; i < m->n_value; i++) {
		if (m->pid[i] != share->pid)
			continue;
		if (!share->pid && semctl(id, (int)i, GETVAL) == (int)m->value[i])
			continue; /* and so it stays nobody's */
		if (semctl(id, (int)i, SETVAL, (union semun){ .val = (int)m->value[i] }) < 0)
			return -errno;
		last = (int)i;
	}
	/* Programs take a set for ready when there was a semop(2). */
	if (m->otime && last >= 0) {
		short op = m->value[last] < VALUE_MAX ? 1 : -1;
		struct sembuf ops[] = { { (unsigned short)last, op, IPC_NOWAIT },
			                { (unsigned short)last, (short)-op, IPC_NOWAIT } };

		return semop(id, ops, 2) < 0 ? -errno : 0;
	}
	return 0;
}

static int compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

/* All that are to be filled: what each process has to do. */
struct filling {
	ARRAY(const Img__SysvSem *) sets; /* those that are the tree's, filled already or not */
	ARRAY(struct share) shares;
	ARRAY(struct sysv_job) jobs;
};

static void filling_done(struct filling *f)
{
	array_done(&f->sets);
	array_done(&f->shares);
	array_done(&f->jobs);
}

/* A share for each process that was the last. */
static int fill_later(struct filling *f, const Img__SysvSem *m)
{
	auto_free uint32_t *pids = calloc(m->n_pid, sizeof(*pids));

	if (!pids)
		return -ENOMEM;
	memcpy(pids, m->pid, m->n_pid * sizeof(*pids));
	qsort(pids, m->n_pid, sizeof(*pids), compare);
	for (size_t i = 0; i < m->n_pid; i++) {
		struct share *share = i && pids[i] == pids[i - 1] ? NULL : array_add(&f->shares);

		if (share)
			*share = (struct share){ m, pids[i] };
		else if (!i || pids[i] != pids[i - 1])
			return -ENOMEM;
	}
	return 0;
}

static int share_compare(const void *a, const void *b)
{
	const struct share *x = a, *y = b;

	return x->pid < y->pid ? -1 : x->pid > y->pid;
}

static int fill_all(struct filling *f)
{
	qsort(f->shares.v, f->shares.n, sizeof(*f->shares.v), share_compare);
	array_each (share, &f->shares) {
		struct sysv_job *job = array_add(&f->jobs);

		if (!job)
			return -ENOMEM;
		*job = (struct sysv_job){ (pid_t)share->pid, set_values, share, 0 };
	}
	sysv_as_all(f->jobs.v, f->jobs.n);
	array_each (job, &f->jobs)
		if (job->ret < 0)
			return fail(job->ret, "%s: set its values",
			            name_of(((const struct share *)job->arg)->m));
	return 0;
}

static bool is_filled(const Img__SysvSem *m)
{
	int id = (int)m->perm->sysvid;

	for (size_t i = 0; i < m->n_value; i++)
		if (semctl(id, (int)i, GETVAL) != (int)m->value[i] ||
		    semctl(id, (int)i, GETPID) != (int)m->pid[i])
			return false;
	return true;
}

static int set_owner(const Img__SysvSem *m)
{
	struct semid_ds ds;
	int id = (int)m->perm->sysvid;

	if (semctl(id, 0, IPC_STAT, (union semun){ .buf = &ds }) < 0)
		return fail(-errno, "%s: IPC_STAT", name_of(m));
	if (ds.sem_perm.uid == m->perm->uid && ds.sem_perm.gid == m->perm->gid &&
	    (ds.sem_perm.mode & 0777) == (m->perm->mode & 0777))
		return 0;
	ds.sem_perm.uid = m->perm->uid;
	ds.sem_perm.gid = m->perm->gid;
	ds.sem_perm.mode = (unsigned short)(m->perm->mode & 0777);
	if (semctl(id, 0, IPC_SET, (union semun){ .buf = &ds }) < 0)
		return fail(-errno, "%s: set its owner and mode", name_of(m));
	return 0;
}

static int make_set(struct restore *r, const Img__SysvSem *m, struct filling *f)
{
	struct sysv_wish wish = { m->perm, 0, request_make, m };
	int found = find_set(r, m), ret = found;
	const Img__SysvSem **slot;

	if (found == FOUND_NONE)
		ret = sysv_make(r, SYSV_SEM, &wish, 1);
	if (ret < 0 || found == FOUND_AS_IT_IS)
		return ret;
	slot = array_add(&f->sets);
	if (!slot)
		return -ENOMEM;
	*slot = m;
	return found == FOUND_NONE || !is_filled(m) ? fill_later(f, m) : 0;
}

int sysv_sem_make(struct restore *r)
{
	size_t n;
	const struct record *rec = images_kind(r->images, KIND_sysv_sem, &n);
	auto_(filling_done) struct filling filling = {};
	int ret = 0;

	for (size_t i = 0; ret >= 0 && i < n; i++)
		ret = make_set(r, (const Img__SysvSem *)rec[i].msg, &filling);
	if (ret >= 0)
		ret = fill_all(&filling);
	array_each (set, &filling.sets)
		ret = ret < 0 ? ret : set_owner(*set);
	return ret < 0 ? ret : 0;
}

/* ---- what is to be undone ---- */

static void emit_ops(struct script *s, const Img__SysvSem *m, const struct sembuf *ops, size_t n)
{
	script_call(s, SYS_semop, m->perm->sysvid, script_put(s, ops, n * sizeof(*ops)), n);
}

/* semadj + BY, in steps that the value allows; the value is as before. */
static void emit_undo(struct script *s, const Img__SysvSem *m, uint32_t num, int by)
{
	int value = (int)m->value[num];

	while (by) {
		/* by > 0: the operation with SEM_UNDO takes away */
		int up = VALUE_MAX - value, most = value > up ? value : up;
		int step = abs(by) < most ? abs(by) : most, op = by > 0 ? -step : step;
		bool undo_first = op > 0 ? step <= up : step <= value;
		struct sembuf with = { (unsigned short)num, (short)op, IPC_NOWAIT | SEM_UNDO };
		struct sembuf without = { (unsigned short)num, (short)-op, IPC_NOWAIT };
		struct sembuf ops[2] = { undo_first ? with : without, undo_first ? without : with };

		emit_ops(s, m, ops, 2);
		by -= by > 0 ? step : -step;
	}
}

void sysv_sem_undo(struct restore *r, const Img__Sysv *msg, struct script *s)
{
	for (size_t i = 0; i < msg->n_undo; i++) {
		const Img__Sysv__Undo *u = msg->undo[i];
		const Img__SysvSem *m = set_record(r, u->set);
		struct sembuf back = { (unsigned short)u->num, (short)-u->adjust,
			               IPC_NOWAIT | SEM_UNDO };

		if (m->perm->kept || r->opt->sysv == SYSV_KEEP)
			emit_ops(s, m, &back, 1);
		else
			emit_undo(s, m, u->num, u->adjust);
	}
}

void sysv_sem_last(struct restore *r, const Img__Sysv *msg, struct script *s)
{
	for (size_t i = 0; i < msg->n_last; i++) {
		const Img__SysvSem *m = set_record(r, msg->last[i]->set);
		unsigned short num = (unsigned short)msg->last[i]->num;
		short op = m->value[num] < VALUE_MAX ? 1 : -1;
		struct sembuf ops[2] = { { num, op, IPC_NOWAIT }, { num, (short)-op, IPC_NOWAIT } };

		if (!m->perm->kept && r->opt->sysv != SYSV_KEEP)
			emit_ops(s, m, ops, 2);
	}
}
