/*
 * Files that can be opened only when the processes exist: pidfds, files of
 * /proc/PID. When all of them stand at BARRIER_GROUPS, the coordinator opens
 * these files; the tasks have been forked by then and take them over with
 * pidfd_getfd(2), to the very numbers that are kept for them in the pool. From
 * there on they are as any other file.
 *
 * That call answers with the lowest free number, which no script can know; so
 * number 0 is put aside for a moment, to be that one.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/fd.h"
#include "lib/log.h"
#include "proto/fds.pb-c.h"
#include "restore/restore.h"

struct late_file {
	const Img__File *file;
	int number; /* in the pool */
};

struct lates {
	ARRAY(struct late_file) files; /* by file id */
	int self;                      /* in the pool: a pidfd of the coordinator */
	int zero_flags;                /* FD_CLOEXEC of number 0, which is always open */
};

/* Number 0 is taken, so that it can be freed. */
static int hold_zero(struct lates *l)
{
	int flags = fcntl(0, F_GETFD);

	if (flags < 0) {
		flags = FD_CLOEXEC;
		if (open("/", O_PATH | O_CLOEXEC) < 0)
			return -errno;
	}
	l->zero_flags = flags & FD_CLOEXEC ? O_CLOEXEC : 0;
	return 0;
}

static int lates_new(struct restore *r)
{
	int e, fd;

	r->lates = calloc(1, sizeof(*r->lates));
	if (!r->lates)
		return -ENOMEM;
	e = hold_zero(r->lates);
	fd = e < 0 ? e : (int)syscall(SYS_pidfd_open, getpid(), 0);
	if (fd < 0)
		return fail(e < 0 ? e : -errno, "pidfd of crtool itself");
	r->lates->self = pool_add(r, fd);
	return r->lates->self < 0 ? r->lates->self : 0;
}

static int late_reserve(struct restore *r, const Img__File *file)
{
	int e = r->lates ? 0 : lates_new(r), fd;
	struct late_file *late;

	if (e < 0)
		return e;
	fd = open("/", O_PATH | O_CLOEXEC);
	if (fd < 0)
		return fail(-errno, "open /");
	late = array_add(&r->lates->files);
	if (!late) {
		close(fd);
		return -ENOMEM;
	}
	late->file = file;
	late->number = pool_put(r, file->id, fd);
	return late->number < 0 ? late->number : 0;
}

int late_plan(struct restore *r)
{
	size_t n;
	const struct record *rec = images_kind(r->images, KIND_file, &n);

	for (size_t i = 0; i < n; i++) {
		const Img__File *file = (const Img__File *)rec[i].msg;
		const struct restore_kind *kind = restore_kind_of(file->kind);
		int e;

		if (!kind->late ||
		    !kind->late(r, images_one(r->images, (enum record_kind)file->kind, file->id)))
			continue;
		e = late_reserve(r, file);
		if (e < 0)
			return e;
	}
	return 0;
}

static bool has(const Img__Fds *fds, uint32_t file_id)
{
	for (size_t i = 0; fds && i < fds->n_fd; i++)
		if (fds->file[i] == file_id)
			return true;
	return false;
}

/* Threads that the kernel makes for a file take no number that one of the tree is to have. */
static void pass_numbers(const struct restore *r)
{
	char text[16];
	pid_t last = 0;

	array_each (t, &r->tasks)
		array_each (th, &t->threads)
			last = th->tid > last ? th->tid : last;
	snprintf(text, sizeof(text), "%d", last);
	if (file_write(AT_FDCWD, "/proc/sys/kernel/ns_last_pid", text) < 0)
		info("the last pid cannot be set, taking a chance");
}

static const struct restore_kind *maker_of(const struct late_file *late)
{
	const struct restore_kind *kind = restore_kind_of(late->file->kind);

	return kind->make ? kind : NULL;
}

int late_make(struct restore *r, struct rtask *t, struct script *s)
{
	const struct lates *l = r->lates;
	const Img__Fds *fds = (const Img__Fds *)images_one(r->images, KIND_fds, (uint32_t)t->pid);

	for (size_t i = 0; l && i < l->files.n; i++) {
		const struct late_file *late = &l->files.v[i];
		const struct restore_kind *kind = maker_of(late);
		int spare = kind && has(fds, late->file->id) ? pool_spare(r) : 0, e;

		if (spare <= 0) {
			if (spare < 0)
				return spare;
			continue;
		}
		s->room = "late";
		script_call(s, SYS_dup3, 0, spare, O_CLOEXEC);
		script_call(s, SYS_close, 0);
		e = kind->make(
			r, t, late->file,
			images_one(r->images, (enum record_kind)late->file->kind, late->file->id),
			s);
		if (e < 0)
			return e;
		script_call(s, SYS_dup3, 0, late->number, O_CLOEXEC);
		script_call(s, SYS_dup3, spare, 0, l->zero_flags);
	}
	return 0;
}

int late_open(struct restore *r)
{
	for (size_t i = 0; r->lates && i < r->lates->files.n; i++)
		if (maker_of(&r->lates->files.v[i])) {
			pass_numbers(r);
			break;
		}
	for (size_t i = 0; r->lates && i < r->lates->files.n; i++) {
		const struct late_file *late = &r->lates->files.v[i];
		const struct restore_kind *kind = restore_kind_of(late->file->kind);
		auto_close int fd = -1;

		if (kind->make)
			continue;
		fd = kind->open(
			r, late->file,
			images_one(r->images, (enum record_kind)late->file->kind, late->file->id));
		if (fd < 0)
			return fd;
		if (dup3(fd, late->number, O_CLOEXEC) < 0)
			return fail(-errno, "file %u: move its descriptor", late->file->id);
	}
	return 0;
}

/* Does T need all of them: one whose kind has something to say there may name any other file? */
static bool needs_all(const struct restore *r, const Img__Fds *fds)
{
	for (size_t i = 0; fds && i < fds->n_fd; i++) {
		const Img__File *file =
			(const Img__File *)images_one(r->images, KIND_file, fds->file[i]);
		const struct restore_kind *kind = restore_kind_of(file->kind);

		if (kind->emit)
			return true;
	}
	return false;
}

int late_emit(struct restore *r, const struct rtask *t, struct script *s)
{
	const struct lates *l = r->lates;
	const Img__Fds *fds = (const Img__Fds *)images_one(r->images, KIND_fds, (uint32_t)t->pid);
	int spare = l ? pool_spare(r) : 0;
	bool all;

	if (!l || spare < 0)
		return spare;
	all = needs_all(r, fds);
	script_call(s, SYS_dup3, 0, spare, O_CLOEXEC);
	array_each (late, &l->files) {
		if ((!all && !has(fds, late->file->id)) || maker_of(late))
			continue;
		script_call(s, SYS_close, 0);
		script_want(s, 0, SYS_pidfd_getfd, l->self, late->number, 0);
		script_call(s, SYS_dup3, 0, late->number, O_CLOEXEC);
	}
	script_call(s, SYS_dup3, spare, 0, l->zero_flags);
	return 0;
}

int files_finish(struct restore *r)
{
	size_t n;
	const struct record *rec = images_kind(r->images, KIND_file, &n);

	for (size_t i = 0; i < n; i++) {
		const Img__File *file = (const Img__File *)rec[i].msg;
		const struct restore_kind *kind = restore_kind_of(file->kind);
		int fd = kind->finish ? pool_file(r, file->id) : 0;
		int e = fd < 0 ? fd : fds_own_in_flight(r, file);

		if (e == 0 && kind->finish)
			e = kind->finish(
				r, fd, file,
				images_one(r->images, (enum record_kind)file->kind, file->id));
		if (e < 0)
			return e;
	}
	return 0;
}

void late_done(struct restore *r)
{
	if (r->lates)
		array_done(&r->lates->files);
	free(r->lates);
	r->lates = NULL;
}
