/*
 * The pool: every open file description is made once, by the coordinator, and
 * waits at a number that no task of the tree uses; the tasks inherit all of
 * them by fork and take what is theirs with dup3(2). No number of a task is
 * ever in the way of one of the pool, so there is no order to respect.
 *
 * Numbers above all of the tree's are taken first; if the limit does not leave
 * enough of them, gaps are used.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/fd.h"
#include "lib/log.h"
#include "proto/fds.pb-c.h"
#include "restore/restore.h"

struct slot {
	int number; /* in the pool; -1: not open yet */
	int left;   /* by pool_leave(); -1: nothing */
	bool opening;
	uint32_t pid, fd; /* where it is first used; pid 0: by no descriptor */
};

struct pool {
	struct slot *slots; /* by index of the record among those of kind file */
	size_t nslots;
	uint8_t *used; /* by number: 1 when a task uses it */
	uint32_t nused;
	uint32_t next;  /* the next number to try */
	uint32_t limit; /* RLIMIT_NOFILE */
	bool wrapped;   /* the numbers above all are used up */
	ARRAY(int) numbers;
	bool same_boot;
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
	return number < p->nused && p->used[number];
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
			p->next = 3;
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

int pool_add(struct restore *r, int fd)
{
	auto_close int old = fd;
	int number = number_take(r->pool, old);
	int *slot = number < 0 ? NULL : array_add(&r->pool->numbers);

	if (number == -EMFILE)
		return fail(number,
		            "%zu descriptors opened for the tree, no number left for one more: "
		            "RLIMIT_NOFILE is %u, raise its hard limit (ulimit -Hn)",
		            r->pool->numbers.n, r->pool->limit);
	if (number < 0)
		return fail(number, "move a descriptor");
	if (!slot) {
		close(number);
		return -ENOMEM;
	}
	*slot = number;
	return number;
}

/* ---- what the tables of the tasks say ---- */

static int note_table(struct restore *r, uint32_t pid, const Img__Fds *fds)
{
	struct pool *p = r->pool;

	for (size_t i = 0; i < fds->n_fd; i++) {
		struct slot *slot = slot_of(r, fds->file[i]);

		if (!slot || fds->fd[i] >= p->nused)
			return fail(-EBADMSG, "task %u: fd %u: there is no file %u", pid,
			            fds->fd[i], fds->file[i]);
		p->used[fds->fd[i]] = 1;
		if (slot->pid)
			continue;
		slot->pid = pid;
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
		if (last >= p->nused)
			p->nused = last + 1;
	}
	p->used = calloc(p->nused + 1, 1);
	return p->used ? 0 : -ENOMEM;
}

static bool text_is(const char *path, const char *want)
{
	auto_free char *text = NULL;

	if (file_read(AT_FDCWD, path, &text) < 0)
		return false;
	text[strcspn(text, "\n")] = '\0';
	return want && !strcmp(text, want);
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
	images_kind(r->images, KIND_file, &p->nslots);
	p->slots = calloc(p->nslots + 1, sizeof(*p->slots));
	if (!p->slots)
		return -ENOMEM;
	for (size_t i = 0; i < p->nslots; i++)
		p->slots[i].number = p->slots[i].left = -1;
	p->same_boot = text_is("/proc/sys/kernel/random/boot_id", r->images->manifest->boot_id);
	p->limit = raise_limit();
	recs = images_kind(r->images, KIND_fds, &n);
	e = table_size(r, recs, n);
	for (size_t i = 0; e == 0 && i < n; i++)
		e = note_table(r, recs[i].owner, (const Img__Fds *)recs[i].msg);
	p->next = p->nused > 3 ? p->nused : 3;
	return e;
}

void pool_done(struct restore *r)
{
	struct pool *p = r->pool;

	if (!p)
		return;
	array_each (number, &p->numbers)
		close(*number);
	array_done(&p->numbers);
	for (size_t i = 0; p->slots && i < p->nslots; i++)
		closep(&p->slots[i].left);
	free(p->slots);
	free(p->used);
	free(p);
	r->pool = NULL;
}

/* ---- files ---- */

static int slot_open(struct restore *r, struct slot *slot, const Img__File *file)
{
	const struct restore_kind *kind = restore_kind_of(file->kind);
	const ProtobufCMessage *msg = images_one(r->images, (enum record_kind)file->kind, file->id);
	int fd;

	if (!kind || !msg)
		return fail(-EBADMSG, "file %u: there is nothing known of its kind %u", file->id,
		            file->kind);
	slot->opening = true;
	fd = kind->open(r, file, msg);
	slot->opening = false;
	if (fd < 0)
		return fd;
	slot->number = pool_add(r, fd);
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

bool pool_owns(const struct restore *r, uint32_t file_id, uint32_t pid, uint32_t fd)
{
	const struct slot *slot = slot_of(r, file_id);

	return slot && slot->pid == pid && slot->fd == fd;
}

int pool_leave(struct restore *r, uint32_t file_id, int fd)
{
	struct slot *slot = slot_of(r, file_id);

	if (!slot || slot->left >= 0 || slot->number >= 0) {
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

	return fcntl(fd, F_SETFL, flags) < 0 ? -errno : 0;
}

bool pool_same_boot(const struct restore *r)
{
	return r->pool->same_boot;
}
