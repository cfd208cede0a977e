/*
 * Who serves memory: faults first, then what the tree does to its address
 * spaces, then one piece of what nobody has asked for yet.
 *
 * A piece that is there leaves its range, so that
 * what the program throws away afterwards (MADV_DONTNEED) does not come back. While
 * the tree changes an address space or forks, the kernel refuses to fill it (EAGAIN) until
 * the event has been read; with one thread for all, no piece can come late.
 *
 * On demand there is no background: what nobody touches stays in the page cache alone, however
 * many trees have it. A dump wants all of it, and says so by touching it under a name of its
 * own (lib/lazy.h).
 */
#define _GNU_SOURCE
#include "restore/lazy.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "images/spend.h"
#include "lib/cleanup.h"
#include "lib/fd.h"
#include "lib/lazy.h"
#include "lib/log.h"
#include "restore/far.h"
#include "restore/lazy_hold.h"

#define PAGE  UINT64_C(4096)
#define BLOCK (UINT64_C(64) << 10) /* brought at a fault */
#define PIECE (UINT64_C(1) << 20)  /* in the background */
#define REST  1000                 /* ms between looks who still lives */

struct server {
	struct images *im;
	struct lazy_mms *mms;
	const struct lazy_way *way;
	size_t turn;    /* whose background it is */
	bool far_ended; /* nothing comes from there any more */
	bool forked;    /* a page may be wanted by a child as well */
};

/* The same from the page file. */
static int bring(struct server *sv, struct lazy_mm *mm, const struct source *s, uint64_t at,
                 uint64_t size)
{
	uint64_t offset = s->offset + (at - s->start), done;
	uint32_t file = s->file;
	void *from = mmap(NULL, size, PROT_READ, MAP_PRIVATE, sv->im->pages[file], (off_t)offset);
	int r;

	if (from == MAP_FAILED)
		return -errno;
	r = lazy_place(mm, s, at, from, size, &done);
	munmap(from, size);
	if (done && !sv->forked)
		images_spend(sv->im, file, offset, done);
	return r;
}

/* Is thread TID, as our /proc has it, a dump that waits for all of the memory? */
static bool wants_all(uint32_t tid)
{
	auto_free char *comm = NULL;
	char path[32];

	snprintf(path, sizeof(path), "/proc/%u/comm", tid);
	return file_read(AT_FDCWD, path, &comm) > 0 && !strcmp(comm, WANTS_ALL "\n");
}

static int on_fault(struct server *sv, struct lazy_mm *mm, uint64_t at)
{
	const struct source *s;
	struct uffdio_range wake = { at & ~(PAGE - 1), PAGE };
	uint64_t start, end;
	int r;

	at &= ~(PAGE - 1);
	s = lazy_find(mm, at);
	if (!s)
		return lazy_zero(mm, at);
	start = at & ~(BLOCK - 1);
	start = start > s->start ? start : s->start;
	end = (at & ~(BLOCK - 1)) + BLOCK;
	end = end < s->start + s->size ? end : s->start + s->size;
	/* Who waits is woken when it has come. */
	if (images_is_later(sv->im, s->file))
		return sv->way->far->want(sv->way->far->arg, s->file,
		                          s->offset + (start - s->start), end - start);
	r = bring(sv, mm, s, start, end - start);
	/* Whatever came of it: who waits looks again. */
	if (r == 0 && mm->uffd >= 0)
		ioctl(mm->uffd, UFFDIO_WAKE, &wake);
	return r;
}

static int on_fork(struct server *sv, size_t parent, int uffd)
{
	struct lazy_mm *child = array_add(sv->mms), *of;

	if (!child)
		return -ENOMEM;
	sv->forked = true;
	of = &sv->mms->v[parent];
	child->uffd = uffd;
	child->wanted = of->wanted;
	for (size_t i = 0; i < of->ranges.n; i++) {
		struct source *s = array_add(&child->ranges);

		if (!s)
			return -ENOMEM;
		*s = of->ranges.v[i];
	}
	lazy_keep(sv->way->chain, sv->mms, uffd);
	return 0;
}

static int on_event(struct server *sv, size_t which, const struct uffd_msg *msg)
{
	struct lazy_mm *mm = &sv->mms->v[which];

	switch (msg->event) {
	case UFFD_EVENT_PAGEFAULT:
		if (sv->way->on_demand && wants_all(msg->arg.pagefault.feat.ptid))
			mm->wanted = true;
		return on_fault(sv, mm, msg->arg.pagefault.address);
	case UFFD_EVENT_FORK:
		return on_fork(sv, which, (int)msg->arg.fork.ufd);
	case UFFD_EVENT_REMAP:
		return lazy_moved(mm, msg->arg.remap.from, msg->arg.remap.to, msg->arg.remap.len);
	case UFFD_EVENT_REMOVE:
	case UFFD_EVENT_UNMAP:
		return lazy_cut(mm, msg->arg.remove.start, msg->arg.remove.end, NULL);
	}
	return 0;
}

static int read_events(struct server *sv)
{
	for (size_t i = 0; i < sv->mms->n; i++) {
		struct uffd_msg msg;
		ssize_t n;

		while (sv->mms->v[i].uffd >= 0 &&
		       (n = read(sv->mms->v[i].uffd, &msg, sizeof(msg))) == sizeof(msg)) {
			int r = on_event(sv, i, &msg);

			if (r < 0)
				return r;
		}
	}
	return 0;
}

/* Skip what is there. Something is left? */
static bool is_left(struct lazy_mm *mm)
{
	while (mm->next < mm->ranges.n && !mm->ranges.v[mm->next].size)
		mm->next++;
	return mm->uffd >= 0 && mm->next < mm->ranges.n;
}

/* What can be brought from a file. */
static const struct source *find_near(const struct server *sv, const struct lazy_mm *mm)
{
	for (size_t i = mm->next; i < mm->ranges.n; i++)
		if (mm->ranges.v[i].size && !images_is_later(sv->im, mm->ranges.v[i].file))
			return &mm->ranges.v[i];
	return NULL;
}

/* 1: one piece of somebody; 0: there is none to be brought unasked. */
static int background(struct server *sv)
{
	for (size_t i = 0; i < sv->mms->n; i++) {
		struct lazy_mm *mm = &sv->mms->v[(sv->turn + i) % sv->mms->n];
		const struct source *s;
		int r;

		if (!is_left(mm) || (sv->way->on_demand && !mm->wanted))
			continue;
		s = find_near(sv, mm);
		if (!s)
			continue;
		sv->turn = (sv->turn + i + 1) % sv->mms->n;
		r = bring(sv, mm, s, s->start, s->size < PIECE ? s->size : PIECE);
		return r < 0 ? r : 1;
	}
	return 0;
}

/* ---- what comes from afar ---- */

static const struct source *find_piece(const struct lazy_mm *mm, const struct far_piece *p)
{
	for (size_t i = mm->next; mm->uffd >= 0 && i < mm->ranges.n; i++) {
		const struct source *s = &mm->ranges.v[i];

		if (s->file == p->file && s->size && s->offset < p->offset + p->size &&
		    p->offset < s->offset + s->size)
			return s;
	}
	return NULL;
}

/* To all who are to have it; children that are forked meanwhile come behind them. */
static int place_piece(struct server *sv, const struct far_piece *p)
{
	for (size_t i = 0; i < sv->mms->n;) {
		struct lazy_mm *mm = &sv->mms->v[i];
		const struct source *s = find_piece(mm, p);
		uint64_t from, to, done;
		int r;

		if (!s) {
			i++;
			continue;
		}
		from = s->offset > p->offset ? s->offset : p->offset;
		to = s->offset + s->size;
		to = to < p->offset + p->size ? to : p->offset + p->size;
		r = lazy_place(mm, s, s->start + (from - s->offset),
		               (const char *)p->data + (from - p->offset), to - from, &done);
		if (r == 0)
			r = read_events(sv);
		if (r < 0)
			return r;
	}
	return 0;
}

/* He has sent all: whoever still lives has it. */
static int check_all(const struct server *sv)
{
	array_each (mm, sv->mms)
		for (size_t i = 0; mm->uffd >= 0 && i < mm->ranges.n; i++)
			if (mm->ranges.v[i].size && images_is_later(sv->im, mm->ranges.v[i].file) &&
			    !lazy_ended(mm))
				return fail(-EPROTO, "not all pages have come");
	return 0;
}

/* 1: something has come, or will; 0: nothing does any more. */
static int hear(struct server *sv)
{
	const struct far *far = sv->way->far;
	struct pollfd p = { .fd = far ? far->fd : -1, .events = POLLIN };
	struct far_piece piece;
	int r;

	if (!far || sv->far_ended)
		return 0;
	if (poll(&p, 1, 0) <= 0)
		return 1;
	r = far->take(far->arg, &piece);
	if (r == 0) {
		sv->far_ended = true;
		return check_all(sv);
	}
	if (r > 0 && !far_is_sane(sv->im, &piece))
		return fail(-EPROTO, "pages came that cannot be");
	if (r > 0)
		r = place_piece(sv, &piece);
	return r < 0 ? r : 1;
}

/* Wait until somebody touches something, or it comes. 1: there is somebody who may; 0: nobody any more. */
static int rest(struct server *sv)
{
	auto_free struct pollfd *polls = calloc(sv->mms->n + 3, sizeof(*polls));
	nfds_t n = 0;

	if (!polls)
		return -ENOMEM;
	for (; n < 2; n++)
		polls[n] = (struct pollfd){ .fd = sv->way->chain->above[n], .events = POLLIN };
	if (sv->way->far)
		polls[n++] = (struct pollfd){ .fd = sv->way->far->fd, .events = POLLIN };
	array_each (mm, sv->mms) {
		if (mm->uffd >= 0 && sv->way->on_demand && (!is_left(mm) || lazy_ended(mm)))
			lazy_end(mm);
		if (mm->uffd >= 0)
			polls[n++] = (struct pollfd){ .fd = mm->uffd, .events = POLLIN };
	}
	if (n > 2 && poll(polls, n, REST) < 0 && errno != EINTR)
		return -errno;
	return n > 2;
}

int lazy_serve(struct images *im, struct lazy_mms *mms, const struct lazy_way *way)
{
	struct server sv = { .im = im, .mms = mms, .way = way };
	int r, far = 0;

	do {
		r = lazy_look(way->chain);
		if (r == 0)
			r = read_events(&sv);
		if (r == 0)
			r = far = hear(&sv);
		if (r >= 0)
			r = background(&sv);
		if ((r > 0 || far) && way->fail_soon)
			return fail(-ECANCELED, "failed while memory was brought, as asked");
		if (r == 0 && (way->on_demand || far))
			r = rest(&sv);
	} while (r > 0);
	if (r < 0 && !log_failure())
		return fail(r, "bring the memory of the tree");
	return r;
}
