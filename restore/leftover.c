/*
 * Notes lie one behind the other in memory that is shared with a guard (lib/guard.h), which is forked with the
 * first of them. A note tells when it was made, and what is older is somebody else's. For a pid namespace of
 * its own (--new-pidns), where all die together, both are made before and outside.
 */
#include "restore/leftover.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "lib/array.h"
#include "lib/child.h"
#include "lib/cleanup.h"
#include "lib/guard.h"
#include "lib/log.h"

#define SPACE       (64u << 20) /* taken as it is needed */
#define GUARDS      16          /* forked at most, until one has a number that the tree has not */
#define WAITS       200         /* looks at a cgroup that is not empty yet ... */
#define WAIT_US     5000
#define CLOCK_GRAIN 1 /* seconds by which the stamps of files and objects may be behind */

struct note {
	int32_t before; /* the note before it; -1: none */
	int32_t end;    /* where the next one lies */
	int32_t what;   /* enum leftover; -1: nothing */
	int32_t id;
	int64_t since; /* seconds */
	char name[];
};

struct notes {
	int32_t last; /* -1: none */
	bool kept;
	bool inside; /* by who restores in a pid namespace of its own: kept, if crtool hears of it */
	pid_t init;  /* of that; 0: none */
	_Alignas(16) char data[];
};

struct leftovers {
	struct notes *notes;
	struct guard guard;
};

/* ---- taking away ---- */

/* When what is meant was made, or its stamps changed for the last time; -1: it is not there. */
static int64_t name_time(const char *name)
{
	struct statx st;

	if (statx(AT_FDCWD, name, AT_SYMLINK_NOFOLLOW, STATX_BTIME | STATX_CTIME, &st) < 0)
		return -1;
	return st.stx_mask & STATX_BTIME ? st.stx_btime.tv_sec : st.stx_ctime.tv_sec;
}

static int64_t queue_time(const char *name)
{
	auto_close int fd = (int)syscall(SYS_mq_open, name, O_RDONLY | O_CLOEXEC, 0, NULL);
	struct stat st;

	return fd < 0 || fstat(fd, &st) < 0 ? -1 : st.st_ctim.tv_sec;
}

static int64_t object_time(enum leftover what, int id)
{
	struct shmid_ds shm;
	struct msqid_ds msg;
	struct semid_ds sem;
	union {
		struct semid_ds *buf;
		unsigned long word;
	} arg = { .buf = &sem };

	if (what == LEFT_SHM)
		return shmctl(id, IPC_STAT, &shm) < 0 ? -1 : shm.shm_ctime;
	if (what == LEFT_MSG)
		return msgctl(id, IPC_STAT, &msg) < 0 ? -1 : msg.msg_ctime;
	return semctl(id, 0, IPC_STAT, arg) < 0 ? -1 : sem.sem_ctime;
}

static int64_t time_of(enum leftover what, const char *name, int id)
{
	return what == LEFT_QUEUE ? queue_time(name)
	       : what >= LEFT_SHM ? object_time(what, id)
	                          : name_time(name);
}

/* Who was in it may still be on the way out. */
static void group_remove(const char *path)
{
	for (int i = 0; rmdir(path) < 0 && errno == EBUSY && i < WAITS; i++)
		usleep(WAIT_US);
}

static void take_away(const struct note *n)
{
	enum leftover what = (enum leftover)n->what;
	int64_t made = n->what < 0 ? -1 : time_of(what, n->name, n->id);

	if (made < 0 || made + CLOCK_GRAIN < n->since)
		return;
	switch (what) {
	case LEFT_NAME:
		unlink(n->name);
		break;
	case LEFT_DIR:
		rmdir(n->name);
		break;
	case LEFT_GROUP:
		group_remove(n->name);
		break;
	case LEFT_QUEUE:
		syscall(SYS_mq_unlink, n->name);
		break;
	case LEFT_SHM:
		shmctl(n->id, IPC_RMID, NULL);
		break;
	case LEFT_SEM:
		semctl(n->id, 0, IPC_RMID);
		break;
	case LEFT_MSG:
		msgctl(n->id, IPC_RMID, NULL);
		break;
	}
}

/* The last first: what is in a directory before that. */
static void take_all(void *arg)
{
	struct notes *notes = arg;
	int32_t at = __atomic_load_n(&notes->last, __ATOMIC_SEQ_CST);

	if (__atomic_load_n(&notes->kept, __ATOMIC_SEQ_CST))
		return;
	while (at >= 0) {
		const struct note *n = (const void *)(notes->data + at);

		take_away(n);
		at = n->before;
	}
}

/* ---- the guard ---- */

static bool has_number(const struct rtask *t, pid_t pid)
{
	array_each (th, &t->threads)
		if (th->tid == pid)
			return true;
	return t->pid == pid;
}

static bool is_wanted(const struct restore *r, pid_t pid)
{
	array_each (t, &r->tasks)
		if (has_number(t, pid))
			return true;
	for (size_t i = 0; i < r->nhelpers; i++)
		if (has_number(&r->helpers[i], pid))
			return true;
	return false;
}

/* One whose number nobody of the tree is to have. */
static int guard_fork(const struct restore *r, struct leftovers *l, const struct guard_work *work)
{
	struct guard in_the_way[GUARDS];
	int n = 0, e;

	while ((e = guard_begin(&l->guard, work, l->notes)) == 0 && is_wanted(r, l->guard.pid) &&
	       n < GUARDS)
		in_the_way[n++] = l->guard;
	while (n > 0)
		guard_end(&in_the_way[--n]);
	return e;
}

/* R: NULL, or those who must not be in the way of the guard. */
static int begin(const struct restore *r, const struct guard_work *work, struct leftovers **ret)
{
	struct leftovers *l = calloc(1, sizeof(*l));
	void *space = mmap(NULL, SPACE, PROT_READ | PROT_WRITE,
	                   MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	int e = !l || space == MAP_FAILED ? -ENOMEM : 0;

	if (e == 0) {
		l->notes = space;
		l->notes->last = -1;
		e = r ? guard_fork(r, l, work) : guard_begin(&l->guard, work, l->notes);
	}
	if (e == 0) {
		*ret = l;
		return 0;
	}
	if (space != MAP_FAILED)
		munmap(space, SPACE);
	free(l);
	return fail(e, "fork who takes away what a restore leaves%s", child_limits(e));
}

/* ---- notes ---- */

static int note(struct notes *notes, enum leftover what, const char *name, int id)
{
	size_t size = sizeof(struct note) + strlen(name) + 1;
	struct note *last = notes->last < 0 ? NULL : (void *)(notes->data + notes->last), *n;
	int32_t at = last ? last->end : 0;

	size = (size + 15) & ~(size_t)15;
	if (size > SPACE - sizeof(*notes) - (size_t)at)
		return -ENOMEM;
	n = (void *)(notes->data + at);
	*n = (struct note){ .before = notes->last, .end = at + (int32_t)size, .id = id };
	n->what = time_of(what, name, id) < 0 ? (int32_t)what : -1;
	n->since = time(NULL);
	strcpy(n->name, name);
	__atomic_store_n(&notes->last, at, __ATOMIC_SEQ_CST);
	return at;
}

int leftover_expect(struct restore *r, enum leftover what, const char *name, int id)
{
	static const struct guard_work work = { .undo = take_all };
	int e;

	if (!r->leftovers)
		r->leftovers = r->opt->outside;
	e = r->leftovers ? 0 : begin(r, &work, &r->leftovers);
	return e < 0 ? e : note(r->leftovers->notes, what, name, id);
}

void leftover_forget(struct restore *r, int place)
{
	struct notes *notes = r->leftovers->notes;
	const struct note *n = (const void *)(notes->data + place);

	__atomic_store_n(&notes->last, n->before, __ATOMIC_SEQ_CST);
}

void leftover_keep(struct restore *r)
{
	struct leftovers *l = r->leftovers;

	if (l)
		__atomic_store_n(l == r->opt->outside ? &l->notes->inside : &l->notes->kept, true,
		                 __ATOMIC_SEQ_CST);
}

static void end(struct leftovers *l)
{
	guard_end(&l->guard);
	munmap(l->notes, SPACE);
	free(l);
}

void leftover_done(struct restore *r)
{
	struct leftovers *l = r->leftovers;

	r->leftovers = NULL;
	if (!l || l->notes->inside)
		return;
	take_all(l->notes);
	if (l == r->opt->outside)
		l->notes->last = -1;
	else
		end(l);
}

/* ---- of a pid namespace of its own ---- */

/* Whatever its init has been told: nobody has heard of it. */
static void take_outside(void *arg)
{
	struct notes *notes = arg;
	pid_t init = __atomic_load_n(&notes->init, __ATOMIC_SEQ_CST);
	struct pollfd gone = { .fd = init ? (int)syscall(SYS_pidfd_open, init, 0) : -1,
		               .events = POLLIN };

	if (notes->kept)
		return;
	if (gone.fd >= 0)
		syscall(SYS_pidfd_send_signal, gone.fd, SIGKILL, NULL, 0);
	while (gone.fd >= 0 && poll(&gone, 1, -1) < 0 && errno == EINTR)
		continue;
	take_all(notes);
}

int leftovers_outside(struct leftovers **ret, pid_t **ret_init)
{
	static const struct guard_work work = { .undo = take_outside };
	int r = begin(NULL, &work, ret);

	if (r == 0)
		*ret_init = &(*ret)->notes->init;
	return r;
}

void leftovers_outside_end(struct leftovers *l, bool runs)
{
	if (!l)
		return;
	__atomic_store_n(&l->notes->kept, runs, __ATOMIC_SEQ_CST);
	take_all(l->notes);
	end(l);
}
