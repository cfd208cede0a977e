/*
 * epoll, dump half. fdinfo lists what is watched by the number that it was
 * added under; whether that number still means the same file only kcmp(2)
 * knows: the number may be closed or taken anew while a duplicate keeps the
 * watched file alive, and then two rows may show the same number.
 *
 * A socket has one file only, so its inode number is proof. For others one
 * kcmp per row is needed, for which the kernel searches its rows one by one: that
 * is the square of their number (1.6 s for 15,000 eventfds), so where there are
 * many, those that are as they look are found in another way (epoll_rows.c).
 *
 * That a one-shot row has fired and waits to be armed again is shown as no events at all.
 * Not carried is that of a file that is ready for nothing at the restore: it may report an error or
 * hang-up, once.
 */
#include <errno.h>
#include <inttypes.h>
#include <linux/kcmp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "dump/dump.h"
#include "dump/epoll_rows.h"
#include "lib/cleanup.h"
#include "lib/log.h"
#include "proto/epoll.pb-c.h"

struct busy_poll { /* struct epoll_params of linux/eventpoll.h, 6.9 */
	uint32_t usecs;
	uint16_t budget;
	uint8_t prefer, pad;
};
#define EPIOCGPARAMS _IOR(0x8A, 0x02, struct busy_poll)
#define FEW          256 /* rows that may be searched for each row */

static bool epoll_owns(const struct file *f)
{
	return !strcmp(f->link, "anon_inode:[eventpoll]");
}

static bool row_parse(const char *line, struct epoll_row *ret)
{
	return sscanf(line, "tfd: %d events: %x data: %" SCNx64 " pos:%*d ino:%" SCNx64 " sdev:%x",
	              &ret->tfd, &ret->events, &ret->data, &ret->ino, &ret->dev) == 5;
}

/* May F be what ROW watches? The kernel writes a device number in its own way (MKDEV). */
static bool row_fits(const struct epoll_row *row, const struct file *f)
{
	return f->fd >= 0 && f->st.st_ino == row->ino &&
	       ((major(f->st.st_dev) << 20) | minor(f->st.st_dev)) == row->dev;
}

/* Is F, number FD of T, what ROW of the epoll EFD of OWNER watches? 1, 0 or -errno. */
static int row_is(const struct epoll_row *row, const struct task *owner, int efd,
                  const struct task *t, int fd)
{
	struct kcmp_epoll_slot slot = { (uint32_t)efd, (uint32_t)row->tfd, row->toff };
	long r = syscall(SYS_kcmp, task_tid(t), task_tid(owner), KCMP_EPOLL_TFD, fd, &slot);

	return r < 0 ? -errno : r == 0;
}

static const struct fd_entry *entry_of(const struct task *t, int fd)
{
	size_t low = 0, high = t->fds.n;

	while (low < high) {
		size_t mid = (low + high) / 2;

		if (t->fds.v[mid].fd < fd)
			low = mid + 1;
		else
			high = mid;
	}
	return low < t->fds.n && t->fds.v[low].fd == fd ? &t->fds.v[low] : NULL;
}

/* Who has the file that ROW watches: under the number that it was added under, or anywhere. */
static int row_resolve(const struct dump *d, const struct file *epoll, const struct epoll_row *row,
                       uint32_t *ret_id)
{
	const struct fd_entry *e = entry_of(epoll->task, row->tfd);
	const struct file *f = e ? &d->files.v[e->file] : NULL;
	int r;

	if (f && row_fits(row, f)) {
		r = S_ISSOCK(f->st.st_mode) || row->as_it_looks
		            ? 1
		            : row_is(row, epoll->task, epoll->fd, epoll->task, row->tfd);
		*ret_id = f->id;
		if (r)
			return r < 0 ? r : 0;
	}
	array_each (other, &d->files) {
		if (!row_fits(row, other))
			continue;
		r = row_is(row, epoll->task, epoll->fd, other->task, other->fd);
		*ret_id = other->id;
		if (r)
			return r < 0 ? r : 0;
	}
	return -ENOENT;
}

struct rows {
	ARRAY(struct epoll_row) all;
};

static int row_compare(const void *a, const void *b)
{
	const struct epoll_row *x = a, *y = b;

	if (x->tfd != y->tfd)
		return x->tfd < y->tfd ? -1 : 1;
	return x->toff < y->toff ? -1 : x->toff > y->toff;
}

/* All rows; those with the same number are told apart by their order in the kernel's tree. */
static int rows_read(const struct file *f, struct rows *rows)
{
	uint32_t at = 0;

	for (const char *line = strstr(f->fdinfo, "tfd:"); line; line = strstr(line + 4, "tfd:")) {
		struct epoll_row *row = array_add(&rows->all);

		if (!row)
			return -ENOMEM;
		if (!row_parse(line, row))
			return -EPROTO;
		row->toff = at++;
	}
	if (!rows->all.n)
		return 0;
	qsort(rows->all.v, rows->all.n, sizeof(*rows->all.v), row_compare);
	array_each (row, &rows->all)
		row->toff = row > rows->all.v && row[-1].tfd == row->tfd ? row[-1].toff + 1 : 0;
	return 0;
}

/* What is made last is there under the numbers that its process has. */
static int check_last(struct dump *d, const struct file *epoll, const struct epoll_row *row,
                      uint32_t id)
{
	const struct file *f = file_of(d, id);
	const struct fd_entry *e = entry_of(epoll->task, row->tfd);

	if (f->policy != FD_CARRY || !f->room || !f->room->made_last || !f->room->made_last(d, f) ||
	    (e && e->file == id - 1))
		return 0;
	return fail(
		-ENOTSUP,
		"%s: watches %s, added as fd %d, which means another file by now: not supported",
		file_name(epoll), f->link, row->tfd);
}

/* What is not carried is not watched any more. The number of targets, or -errno. */
static ssize_t targets_fill(struct dump *d, const struct file *f, struct rows *rows,
                            Img__Epoll__Target *targets)
{
	ssize_t n = 0;

	if (rows->all.n > FEW)
		epoll_rows_try(f, rows->all.v, rows->all.n);
	array_each (row, &rows->all) {
		Img__Epoll__Target *t = &targets[n];
		int r;

		img__epoll__target__init(t);
		t->tfd = (uint32_t)row->tfd;
		t->events = row->events;
		t->data = row->data;
		r = row_resolve(d, f, row, &t->file);
		if (r == -ENOENT)
			return fail(-ENOTSUP,
			            "%s: watches a file, added as fd %d and closed since, that "
			            "nobody in the tree has open: not supported by this version",
			            file_name(f), row->tfd);
		if (r < 0)
			return fail(r, "%s: fd %d that it watches", file_name(f), row->tfd);
		r = check_last(d, f, row, t->file);
		if (r < 0)
			return r;
		if (file_of(d, t->file)->policy == FD_CARRY ||
		    file_of(d, t->file)->policy == FD_EXTERNAL)
			n++;
		else
			lose("%s: watches fd %d no more, which is not carried", file_name(f),
			     row->tfd);
	}
	return n;
}

static int busy_poll_read(const struct file *f, Img__Epoll *msg)
{
	auto_close int fd = file_steal(f);
	struct busy_poll params = {};

	if (fd < 0)
		return fail(fd, "%s: pidfd_getfd", file_name(f));
	if (ioctl(fd, EPIOCGPARAMS, &params) < 0)
		return 0; /* before 6.9 there are none */
	msg->busy_poll_usecs = params.usecs;
	msg->busy_poll_budget = params.budget;
	msg->prefer_busy_poll = params.prefer;
	return 0;
}

/* By the address of their files, which the kernel has them by, they come in another order every time. */
static int target_compare(const void *a, const void *b)
{
	const Img__Epoll__Target *x = a, *y = b;

	if (x->tfd != y->tfd)
		return x->tfd < y->tfd ? -1 : 1;
	if (x->data != y->data)
		return x->data < y->data ? -1 : 1;
	return x->file < y->file ? -1 : x->file > y->file;
}

static int epoll_put(struct dump *d, const struct file *f, struct rows *rows)
{
	auto_free Img__Epoll__Target *targets = calloc(rows->all.n + 1, sizeof(*targets));
	auto_free Img__Epoll__Target **list = calloc(rows->all.n + 1, sizeof(*list));
	Img__Epoll msg = IMG__EPOLL__INIT;
	ssize_t n = targets && list ? targets_fill(d, f, rows, targets) : -ENOMEM;
	int r = n < 0 ? (int)n : busy_poll_read(f, &msg);

	if (r < 0)
		return r;
	if (n)
		qsort(targets, (size_t)n, sizeof(*targets), target_compare);
	for (ssize_t i = 0; i < n; i++)
		list[i] = &targets[i];
	msg.n_target = (size_t)n;
	msg.target = list;
	return image_put(d->out, KIND_epoll, f->id, &msg.base);
}

static int epoll_dump(struct dump *d, const struct file *f)
{
	struct rows rows = {};
	int r = rows_read(f, &rows);

	r = r < 0 ? fail(r, "%s: read what it watches", file_name(f)) : epoll_put(d, f, &rows);
	array_done(&rows.all);
	return r;
}

const struct dump_kind dump_epoll = {
	.needs_owner = true,
	.owns = epoll_owns,
	.dump = epoll_dump,
};
