/*
 * The pool: every open file description is made once, by the coordinator, and
 * waits at a number that is in nobody's way; the tasks inherit all of them by
 * fork and take what is theirs with dup3(2), in any order.
 *
 * In nobody's way are
 * - the very number where its first user wants it, when all tasks that use that
 *   number use it for the same file: then there is nothing left to do for it
 * - numbers that no task uses: those above all of the tree's first; if the limit
 *   does not leave enough of them, the gaps
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/fd.h"
#include "lib/log.h"
#include "proto/fds.pb-c.h"
#include "restore/external.h"
#include "restore/restore.h"

#define STDIO_FDS 3
#define MANY      UINT32_MAX /* a number that is used for different files */

struct slot {
	int number; /* in the pool; -1: not open yet */
	int left;   /* by pool_leave(); -1: nothing */
	bool opening;
	bool cloexec;     /* FD_CLOEXEC of its number in the pool */
	uint32_t pid, fd; /* where it is first used; pid 0: by no descriptor */
};

struct pool {
	struct slot *slots; /* by index of the record among those of kind file */
	size_t nslots;
	uint32_t
		*users; /* by number: 0, index of the slot + 1 that all tasks use it for, or MANY */
	uint32_t nusers;
	uint32_t next;  /* the next number to try */
	uint32_t limit; /* RLIMIT_NOFILE */
	bool wrapped;   /* the numbers above all are used up */
	int spare;      /* pool_spare(); -1: none yet */
	ARRAY(int) numbers;
};

static struct slot *slot_of(const struct restore *r, uint32_t file_id)
{
	size_t n;
	const struct record *rec = images_find(r->images, KIND_file, file_id, &n);
	size_t all;

	if (!rec || !n)
		return NULL;
	return &r->pool->slots[rec - images_kind(r->images, KIND_file, &all)];
}

/* ---- numbers ---- */

/* crtool may use as many descriptors as the hard limit allows. */
static uint32_t raise_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return 1024;
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur > INT32_MAX)
		return INT32_MAX;
	return (uint32_t)limit.rlim_cur;
}

static bool number_used(const struct pool *p, uint32_t number)
{
	return number < p->nusers && p->users[number];
}

/* FD at the lowest free number from p->next on that no task uses. -EMFILE: there is none. */
static int number_take(struct pool *p, int fd)
{
	for (;;) {
		int number;

		while (number_used(p, p->next))
			p->next++;
		number = fcntl(fd, F_DUPFD_CLOEXEC, p->next);
		if (number < 0 && (errno == EMFILE || errno == EINVAL) && !p->wrapped) {
			p->wrapped = true;
			p->next = STDIO_FDS;
			continue;
		}
		if (number < 0)
			return errno == EINVAL ? -EMFILE : -errno;
		p->next = (uint32_t)number + 1;
		if (!number_used(p, (uint32_t)number))
			return number;
		close(number);
	}
}

static int number_note(struct pool *p, int number)
{
	int *at = array_add(&p->numbers);

	if (!at) {
		close(number);
		return -ENOMEM;
	}
	*at = number;
	return number;
}

int pool_add(struct restore *r, int fd)
{
	auto_close int old = fd;
	int number;

	if (old >= STDIO_FDS && !number_used(r->pool, (uint32_t)old))
		return number_note(r->pool, take_fd(&old));
	number = number_take(r->pool, old);
	if (number == -EMFILE)
		return fail(number,
		            "%zu descriptors opened for the tree, no number left for one more: "
		            "RLIMIT_NOFILE is %u, raise its hard limit (ulimit -Hn)",
		            r->pool->numbers.n, r->pool->limit);
	if (number < 0)
		return fail(number, "move a descriptor");
	return number_note(r->pool, number);
}

/* FD, consumed, at the number that SLOT's first user wants, if that is in nobody's way. -EBUSY: it is. */
static int place_in_use(struct pool *p, const struct slot *slot, int *fd)
{
	int number = (int)slot->fd;

	if (!slot->pid || p->users[number] != (uint32_t)(slot - p->slots) + 1)
		return -EBUSY;
	if (*fd == number) {
		if (!slot->cloexec && fcntl(number, F_SETFD, 0) < 0)
			return -errno;
		return number_note(p, take_fd(fd));
	}
	number = fcntl(*fd, slot->cloexec ? F_DUPFD_CLOEXEC : F_DUPFD, number);
	if (number == (int)slot->fd)
		return number_note(p, number);
	if (number >= 0)
		close(number); /* crtool itself has that one */
	return -EBUSY;
}

int pool_spare(struct restore *r)
{
	int fd;

	if (r->pool->spare >= 0)
		return r->pool->spare;
	fd = open("/", O_PATH | O_CLOEXEC);
	r->pool->spare = fd < 0 ? fail(-errno, "open /") : pool_add(r, fd);
	return r->pool->spare;
}

/* ---- what the tables of the tasks say ---- */

static int note_table(struct restore *r, uint32_t pid, const Img__Fds *fds)
{
	struct pool *p = r->pool;

	for (size_t i = 0; i < fds->n_fd; i++) {
		struct slot *slot = slot_of(r, fds->file[i]);

		uint32_t *user;

		if (!slot || fds->fd[i] >= p->nusers)
			return fail(-EBADMSG, "task %u: fd %u: there is no file %u", pid,
			            fds->fd[i], fds->file[i]);
		user = &p->users[fds->fd[i]];
		if (!*user)
			*user = (uint32_t)(slot - p->slots) + 1;
		else if (*user != (uint32_t)(slot - p->slots) + 1)
			*user = MANY;
		if (slot->pid)
			continue;
		slot->pid = pid;
		slot->cloexec = fds->cloexec[i];
		slot->fd = fds->fd[i];
	}
	return 0;
}

/* How many numbers there must be for the highest of all tasks. */
static int table_size(struct restore *r, const struct record *recs, size_t n)
{
	struct pool *p = r->pool;

	for (size_t i = 0; i < n; i++) {
		const Img__Fds *fds = (const Img__Fds *)recs[i].msg;
		uint32_t last = fds->n_fd ? fds->fd[fds->n_fd - 1] : 0;

		if (last >= p->limit)
			return fail(
				-EMFILE,
				"task %u: fd %u: crtool may only use numbers below %u; raise the "
				"hard limit of RLIMIT_NOFILE (ulimit -Hn)",
				recs[i].owner, last, p->limit);
		if (last >= p->nusers)
			p->nusers = last + 1;
	}
	p->users = calloc(p->nusers + 1, sizeof(*p->users));
	return p->users ? 0 : -ENOMEM;
}

int pool_init(struct restore *r)
{
	struct pool *p = calloc(1, sizeof(*p));
	const struct record *recs;
	size_t n;
	int e;

	if (!p)
		return -ENOMEM;
	r->pool = p;
	p->spare = -1;
	images_kind(r->images, KIND_file, &p->nslots);
	p->slots = calloc(p->nslots + 1, sizeof(*p->slots));
	if (!p->slots)
		return -ENOMEM;
	for (size_t i = 0; i < p->nslots; i++)
		p->slots[i].number = p->slots[i].left = -1;
	p->limit = raise_limit();
	recs = images_kind(r->images, KIND_fds, &n);
	e = table_size(r, recs, n);
	for (size_t i = 0; e == 0 && i < n; i++)
		e = note_table(r, recs[i].owner, (const Img__Fds *)recs[i].msg);
	p->next = p->nusers > STDIO_FDS ? p->nusers : STDIO_FDS;
	return e;
}

static int number_compare(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

/* Runs of numbers go with one call. */
static void numbers_close(struct pool *p)
{
	const int *v = p->numbers.v;

	if (v)
		qsort(p->numbers.v, p->numbers.n, sizeof(*p->numbers.v), number_compare);
	for (size_t i = 0, n; i < p->numbers.n; i += n) {
		for (n = 1; i + n < p->numbers.n && v[i + n] == v[i + n - 1] + 1;)
			n++;
		close_range((unsigned)v[i], (unsigned)v[i + n - 1], 0);
	}
	array_done(&p->numbers);
}

void pool_done(struct restore *r)
{
	struct pool *p = r->pool;

	if (!p)
		return;
	numbers_close(p);
	for (size_t i = 0; p->slots && i < p->nslots; i++)
		closep(&p->slots[i].left);
	free(p->slots);
	free(p->users);
	free(p);
	r->pool = NULL;
}

/* Whose a socket is for the rest of the system (ss(8), rules of routing and filters): who made it. */
static void sock_give(const Img__File *file, int fd)
{
	struct stat st;

	if (fd < 0 || file->flags & O_PATH || fstat(fd, &st) < 0 || !S_ISSOCK(st.st_mode) ||
	    (st.st_uid == file->sk_uid && st.st_gid == file->sk_gid))
		return;
	if (fchown(fd, file->sk_uid, file->sk_gid) < 0)
		warn("socket %u: belongs to crtool's user, not to %u: that takes CAP_CHOWN",
		     file->id, file->sk_uid);
}

/* ---- files ---- */

static int slot_open(struct restore *r, struct slot *slot, const Img__File *file)
{
	const struct restore_kind *kind = restore_kind_of(file->kind);
	const ProtobufCMessage *msg = images_one(r->images, (enum record_kind)file->kind, file->id);
	auto_close int fd = -1;

	if (!kind || !msg)
		return fail(-EBADMSG, "file %u: there is nothing known of its kind %u", file->id,
		            file->kind);
	slot->opening = true;
	fd = inherit_open(r, file, msg);
	if (fd == -ENOENT) {
		fd = kind->open(r, file, msg);
		sock_give(file, fd);
	}
	slot->opening = false;
	if (fd < 0)
		return fd;
	slot->number = place_in_use(r->pool, slot, &fd);
	if (slot->number == -EBUSY)
		slot->number = pool_add(r, take_fd(&fd));
	return slot->number;
}

int pool_file(struct restore *r, uint32_t file_id)
{
	struct slot *slot = slot_of(r, file_id);

	if (!slot)
		return fail(-EBADMSG, "there is no file %u", file_id);
	if (slot->opening)
		return fail(-EBADMSG, "file %u needs itself to be opened", file_id);
	if (slot->number >= 0)
		return slot->number;
	return slot_open(r, slot, (const Img__File *)images_one(r->images, KIND_file, file_id));
}

int pool_put(struct restore *r, uint32_t file_id, int fd)
{
	struct slot *slot = slot_of(r, file_id);

	slot->number = pool_add(r, fd);
	return slot->number;
}

bool pool_cloexec(const struct restore *r, uint32_t file_id)
{
	return slot_of(r, file_id)->cloexec;
}

bool file_in_one_table(const struct restore *r, uint32_t file_id)
{
	size_t n, tables = 0;
	const struct record *rec = images_kind(r->images, KIND_fds, &n);

	for (size_t i = 0; i < n; i++) {
		const Img__Fds *fds = (const Img__Fds *)rec[i].msg;
		size_t k = 0;

		while (k < fds->n_file && fds->file[k] != file_id)
			k++;
		tables += k < fds->n_file;
	}
	return tables == 1;
}

int file_fetch(const struct rtask *t, int fd)
{
	auto_close int pidfd = (int)syscall(SYS_pidfd_open, t->pid, 0);
	int r = pidfd < 0 ? -1 : (int)syscall(SYS_pidfd_getfd, pidfd, fd, 0);

	return r < 0 ? -errno : r;
}

bool file_is_last(const struct restore *r, uint32_t file_id)
{
	const Img__File *file = (const Img__File *)images_one(r->images, KIND_file, file_id);
	const struct restore_kind *kind = file ? restore_kind_of(file->kind) : NULL;

	return kind && kind->last &&
	       kind->last(r, images_one(r->images, (enum record_kind)file->kind, file_id));
}

bool pool_unused(const struct restore *r, uint32_t file_id)
{
	const struct slot *slot = slot_of(r, file_id);

	return slot && !slot->pid;
}

bool pool_owns(const struct restore *r, uint32_t file_id, uint32_t pid, uint32_t fd)
{
	const struct slot *slot = slot_of(r, file_id);

	return slot && slot->pid == pid && slot->fd == fd;
}

int pool_leave(struct restore *r, uint32_t file_id, int fd)
{
	struct slot *slot = slot_of(r, file_id);

	if (!slot || slot->left >= 0) {
		close(fd);
		return fail(-EBADMSG, "file %u is made twice", file_id);
	}
	slot->left = fd;
	return 0;
}

int pool_take(struct restore *r, uint32_t file_id)
{
	struct slot *slot = slot_of(r, file_id);
	int fd = slot ? slot->left : -1;

	if (fd < 0)
		return -ENOENT;
	slot->left = -1;
	return fd;
}

int pool_set_flags(int fd, const Img__File *file)
{
	uint32_t flags = file->flags & (O_APPEND | O_NONBLOCK | O_DIRECT | O_NOATIME);

	if (!flags)
		return 0;
	return fcntl(fd, F_SETFL, flags) < 0 ? -errno : 0;
}

bool pool_same_boot(const struct restore *r)
{
	return r->clocks.same_boot;
}
