/*
 * Notes lie one behind the other in memory that is shared with a guard (lib/guard.h), which is forked with the
 * first of them. A note tells when it was made, and what is older is somebody else's. In a pid namespace of
 * its own (--new-pidns) the guard dies with crtool: there, what a kill leaves stays.
 */
#include "restore/leftover.h"

#include <errno.h>
#include <fcntl.h>
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
static int guard_fork(const struct restore *r, struct leftovers *l)
{
	static const struct guard_work work = { .undo = take_all };
	struct guard in_the_way[GUARDS];
	int n = 0, e;

	while ((e = guard_begin(&l->guard, &work, l->notes)) == 0 && is_wanted(r, l->guard.pid) &&
	       n < GUARDS)
		in_the_way[n++] = l->guard;
	while (n > 0)
		guard_end(&in_the_way[--n]);
	return e;
}

static int begin(struct restore *r)
{
	struct leftovers *l = calloc(1, sizeof(*l));
	void *space = mmap(NULL, SPACE, PROT_READ | PROT_WRITE,
	                   MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	int e = !l || space == MAP_FAILED ? -ENOMEM : 0;

	if (e == 0) {
		l->notes = space;
		l->notes->last = -1;
		e = guard_fork(r, l);
	}
	if (e == 0) {
		r->leftovers = l;
		return 0;
	}
	if (space != MAP_FAILED)
		munmap(space, SPACE);
	free(l);
	return fail(e, "fork who takes away what a restore leaves");
}

/* ---- notes ---- */

int leftover_expect(struct restore *r, enum leftover what, const char *name, int id)
{
	int e = r->leftovers ? 0 : begin(r);
	size_t size = sizeof(struct note) + strlen(name) + 1;
	struct notes *notes;
	struct note *last, *n;
	int32_t at;

	if (e < 0)
		return e;
	notes = r->leftovers->notes;
	last = notes->last < 0 ? NULL : (void *)(notes->data + notes->last);
	at = last ? last->end : 0;
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

void leftover_forget(struct restore *r, int place)
{
	struct notes *notes = r->leftovers->notes;
	const struct note *n = (const void *)(notes->data + place);

	__atomic_store_n(&notes->last, n->before, __ATOMIC_SEQ_CST);
}

void leftover_keep(struct restore *r)
{
	if (r->leftovers)
		__atomic_store_n(&r->leftovers->notes->kept, true, __ATOMIC_SEQ_CST);
}

void leftover_done(struct restore *r)
{
	struct leftovers *l = r->leftovers;

	if (!l)
		return;
	take_all(l->notes);
	guard_end(&l->guard);
	munmap(l->notes, SPACE);
	free(l);
	r->leftovers = NULL;
}
