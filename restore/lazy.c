/*
 * What lazy_choose.c has found to come later: registered while the tree stands still, and then served
 * by others (lazy_hold.c).
 */
#define _GNU_SOURCE
#include "restore/lazy.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/fd.h"
#include "lib/lazy.h"
#include "lib/log.h"
#include "parasite/arch/arch.h"
#include "restore/far.h"
#include "restore/lazy_hold.h"
#include "restore/run.h"

#define PAGE UINT64_C(4096)

void lazy_emit(struct restore *r, struct rtask *t, struct script *s)
{
	if (!t->lazy || !t->lazy->pages.n)
		return;
	t->lazy->op = script_call(s, SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	emit_barrier(r, s, BARRIER_LAZY);
	s->room = "memory";
}

/* ---- the coordinator ---- */

static int take(struct rtask *t)
{
	auto_close int pidfd = (int)syscall(SYS_pidfd_open, t->pid, 0);
	int fd = (int)script_result(&t->threads.v[0].script, t->lazy->op);

	t->lazy->uffd = pidfd < 0 ? -1 : (int)syscall(SYS_pidfd_getfd, pidfd, fd, 0);
	return t->lazy->uffd < 0 ? fail(-errno, "%s: take its userfaultfd", rtask_name(t)) : 0;
}

int lazy_take(struct restore *r)
{
	int e = 0;

	array_each (t, &r->tasks)
		if (e == 0 && t->lazy && t->lazy->pages.n)
			e = take(t);
	return e;
}

static int register_all(const struct rtask *t)
{
	struct uffdio_api api = { .api = UFFD_API,
		                  .features = UFFD_FEATURE_EVENT_FORK | UFFD_FEATURE_EVENT_REMAP |
		                              UFFD_FEATURE_EVENT_REMOVE | UFFD_FEATURE_EVENT_UNMAP |
		                              UFFD_FEATURE_THREAD_ID };

	if (ioctl(t->lazy->uffd, UFFDIO_API, &api) < 0)
		return fail(-errno, "%s: --lazy: userfaultfd with events", rtask_name(t));
	array_each (v, &t->lazy->ranges) {
		struct uffdio_register reg = { .range = { v->start, v->size },
			                       .mode = UFFDIO_REGISTER_MODE_MISSING };

		if (ioctl(t->lazy->uffd, UFFDIO_REGISTER, &reg) < 0)
			return fail(-errno, "%s: --lazy: register %lx-%lx", rtask_name(t),
			            (unsigned long)v->start, (unsigned long)(v->start + v->size));
	}
	return 0;
}

/* The page at AT is there already: it gets its content now. */
static int write_page(struct restore *r, const struct rtask *t, int mem, uint64_t at)
{
	char buf[4096];

	array_each (s, &t->lazy->pages) {
		uint64_t offset = s->offset + (at - s->start);
		int e;

		if (at < s->start || at >= s->start + s->size)
			continue;
		e = images_is_later(r->images, s->file) ? far_need(r, s->file, offset, PAGE) : 0;
		if (e == 0)
			e = far_fetch(r);
		if (e < 0)
			return e;
		e = pread_full(r->images->pages[s->file], buf, PAGE, (off_t)offset);
		if (e == 0)
			e = pwrite_full(mem, buf, PAGE, (off_t)at);
		return e < 0 ? fail(e, "%s: fill its memory at %lx", rtask_name(t),
		                    (unsigned long)at)
		             : 0;
	}
	return 0;
}

#define ENTRIES 4096u
#define THERE   (UINT64_C(3) << 62) /* present or swapped out */

/* Before anything is registered: what was touched on the way. */
static int write_present(struct restore *r, const struct rtask *t, const struct source *v)
{
	auto_free uint64_t *map = malloc(ENTRIES * sizeof(*map));
	auto_close int pagemap = -1, mem = -1;
	char path[32];
	int e = map ? 0 : -ENOMEM;

	snprintf(path, sizeof(path), "/proc/%d/pagemap", t->pid);
	pagemap = open(path, O_RDONLY | O_CLOEXEC);
	snprintf(path, sizeof(path), "/proc/%d/mem", t->pid);
	mem = open(path, O_RDWR | O_CLOEXEC);
	if (pagemap < 0 || mem < 0)
		return fail(-errno, "%s: look into its memory", rtask_name(t));
	for (uint64_t at = v->start; e == 0 && at < v->start + v->size; at += ENTRIES * PAGE) {
		uint64_t n = (v->start + v->size - at) / PAGE;

		n = n < ENTRIES ? n : ENTRIES;
		e = pread_full(pagemap, map, n * sizeof(*map), (off_t)(at / PAGE * sizeof(*map)));
		for (uint64_t i = 0; e == 0 && i < n; i++)
			if (map[i] & THERE)
				e = write_page(r, t, mem, at + i * PAGE);
	}
	return e;
}

static int arm(struct restore *r, const struct rtask *t, struct lazy_mms *mms)
{
	struct lazy_mm *mm;
	int e = 0;

	array_each (v, &t->lazy->ranges)
		if (e == 0)
			e = write_present(r, t, v);
	if (e == 0)
		e = register_all(t);
	mm = e == 0 ? array_add(mms) : NULL;
	if (e == 0 && !mm)
		e = -ENOMEM;
	if (e < 0)
		return e;
	mm->uffd = t->lazy->uffd;
	mm->ranges = t->lazy->pages;
	t->lazy->pages = (struct sources){};
	return 0;
}

/* ---- those who serve ---- */

int lazy_start(struct restore *r)
{
	struct lazy_mms mms = {};
	bool serves;
	int e = 0;

	array_each (t, &r->tasks)
		if (e == 0 && t->lazy && t->lazy->uffd >= 0)
			e = arm(r, t, &mms);
	serves = mms.n || r->opt->far;
	if (e == 0 && serves)
		e = lazy_hold(r, &mms);
	array_each (mm, &mms)
		array_done(&mm->ranges);
	array_done(&mms);
	return e;
}

void lazy_done(struct restore *r)
{
	array_each (t, &r->tasks) {
		if (!t->lazy)
			continue;
		closep(&t->lazy->uffd);
		array_done(&t->lazy->ranges);
		array_done(&t->lazy->pages);
		free(t->lazy);
		t->lazy = NULL;
		if (t->lazy_pidfd > 0)
			close(t->lazy_pidfd);
	}
}
