/*
 * Which memory may come later: private memory that is no file's, and that
 * nobody has locked, shares since a fork, or treats in a way that the kernel does not tell
 * of (WIPEONFORK). All of a mapping is registered, or it would become several, which mremap(2)
 * refuses. What the kernel itself touches before the tree runs is there by then: rseq areas
 * are read at once, and what is found present (buffers that were registered somewhere) is written
 * over.
 *
 * Two processes serve: one does the work; the other holds the descriptors, so that nobody
 * ever sees zeros in place of his memory should the first be killed, and kills the tree then.
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
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/fd.h"
#include "lib/log.h"
#include "parasite/arch/arch.h"
#include "restore/memory_heritage.h"
#include "restore/run.h"

#define PAGE   UINT64_C(4096)
#define ENOUGH (UINT64_C(1) << 20) /* below it a mapping is read at once */

struct lazy {
	size_t op;             /* of the script: makes the descriptor */
	int uffd;              /* of ours, once it is taken; -1 */
	struct sources ranges; /* VMAs as sources: what is registered */
	struct sources pages;
};

static bool vma_may_wait(const Img__Memory *m, const Img__Vma *v, uint8_t mark)
{
	const uint32_t traits = IMG__VMA__TRAIT__LOCKED | IMG__VMA__TRAIT__ONFAULT |
	                        IMG__VMA__TRAIT__DONTFORK | IMG__VMA__TRAIT__WIPEONFORK |
	                        IMG__VMA__TRAIT__MERGEABLE | IMG__VMA__TRAIT__SEALED;

	return v->type == IMG__VMA__TYPE__ANON && (v->map & MAP_TYPE) == MAP_PRIVATE &&
	       !(v->map & (MAP_HUGETLB | MAP_GROWSDOWN)) && !(v->traits & traits) &&
	       !(mark & (MARK_KEPT | MARK_GUARDED)) && !m->mlock_future && !m->memory_merge;
}

/* A filter may forbid what arms it; who shares an address space is more than one. */
static bool task_may_wait(const struct restore *r, const struct rtask *t)
{
	array_each (th, &t->threads)
		if (aspect_record(r, KIND_seccomp, (uint32_t)th->tid))
			return false;
	return !r->sharing;
}

static int add(struct sources *list, uint64_t start, uint64_t end, const struct source *of)
{
	struct source *s = start < end ? array_add(list) : NULL;

	if (start >= end)
		return 0;
	if (!s)
		return -ENOMEM;
	*s = (struct source){ start, end - start, of->offset + (start - of->start), of->file };
	return 0;
}

/* Is the page at AT one that the kernel writes to? */
static bool is_rseq(const struct rtask *t, uint64_t start, uint64_t end, uint64_t *ret_page)
{
	uint64_t first = UINT64_MAX;

	array_each (th, &t->threads) {
		uint64_t page = th->img ? th->img->rseq & ~(PAGE - 1) : 0;

		/* It may lie across two pages. */
		for (int i = 0; page && i < 2; i++, page += PAGE)
			if (page >= start && page < end && page < first)
				first = page;
	}
	*ret_page = first;
	return first != UINT64_MAX;
}

/* [START, END) of S is lazy, but for what the kernel writes to, which goes to EAGER. */
static int split(struct rtask *t, const struct source *s, uint64_t start, uint64_t end,
                 struct sources *eager)
{
	uint64_t page;
	int e = 0;

	while (e == 0 && is_rseq(t, start, end, &page)) {
		e = add(&t->lazy->pages, start, page, s);
		if (e == 0)
			e = add(eager, page, page + PAGE, s);
		start = page + PAGE;
	}
	return e < 0 ? e : add(&t->lazy->pages, start, end, s);
}

/* What of LIST lies in V. */
static uint64_t bytes_in(const struct sources *list, size_t i, const Img__Vma *v)
{
	uint64_t sum = 0, end = v->start + v->size;

	for (; i < list->n && list->v[i].start < end; i++) {
		uint64_t from = list->v[i].start > v->start ? list->v[i].start : v->start;
		uint64_t to = list->v[i].start + list->v[i].size;

		sum += (to < end ? to : end) - from;
	}
	return sum;
}

static int choose(struct rtask *t, const Img__Memory *m, const uint8_t *marks,
                  const struct sources *list, struct sources *eager)
{
	size_t at = 0;
	int e = 0;

	for (size_t i = 0; e == 0 && i < m->n_vmas; i++) {
		const Img__Vma *v = m->vmas[i];
		uint64_t end = v->start + v->size;
		bool waits;

		while (at < list->n && list->v[at].start + list->v[at].size <= v->start)
			at++;
		waits = vma_may_wait(m, v, marks[i]) && bytes_in(list, at, v) >= ENOUGH;
		if (waits)
			e = add(&t->lazy->ranges, v->start, end,
			        &(struct source){ .start = v->start });
		for (size_t s = at; e == 0 && s < list->n && list->v[s].start < end; s++) {
			const struct source *from = &list->v[s];
			uint64_t start = from->start > v->start ? from->start : v->start;
			uint64_t stop = from->start + from->size;

			stop = stop < end ? stop : end;
			e = waits ? split(t, from, start, stop, eager)
			          : add(eager, start, stop, from);
		}
	}
	return e;
}

int lazy_choose(struct restore *r, struct rtask *t, const Img__Memory *m, const uint8_t *marks,
                struct sources *list)
{
	struct sources eager = {};
	int e;

	if (!r->opt->lazy || !task_may_wait(r, t))
		return 0;
	t->lazy = calloc(1, sizeof(*t->lazy));
	if (!t->lazy)
		return -ENOMEM;
	t->lazy->uffd = -1;
	e = choose(t, m, marks, list, &eager);
	array_done(list);
	*list = eager;
	return e;
}

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
		                              UFFD_FEATURE_EVENT_REMOVE |
		                              UFFD_FEATURE_EVENT_UNMAP };

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
static int write_page(const struct restore *r, const struct rtask *t, int mem, uint64_t at)
{
	char buf[4096];

	array_each (s, &t->lazy->pages) {
		uint64_t offset = s->offset + (at - s->start);
		int e;

		if (at < s->start || at >= s->start + s->size)
			continue;
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
static int write_present(const struct restore *r, const struct rtask *t, const struct source *v)
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

/* All below PID, before it: whoever is killed has no more children. */
static void kill_below(pid_t pid)
{
	auto_free char *list = NULL;
	char path[64];

	kill(pid, SIGKILL);
	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", pid, pid);
	if (file_read(AT_FDCWD, path, &list) < 0)
		return;
	for (char *p = list, *end; *p; p = end) {
		pid_t child = (pid_t)strtol(p, &end, 10);

		if (end == p)
			break;
		kill_below(child);
	}
}

/* The descriptors of the tasks were made while they stood still. */
static void kill_tree(const struct restore *r)
{
	array_each (t, &r->tasks) {
		if (t->role != ROLE_TASK)
			continue;
		syscall(SYS_pidfd_send_signal, t->lazy_pidfd, SIGSTOP, NULL, 0);
		kill_below(t->pid);
		syscall(SYS_pidfd_send_signal, t->lazy_pidfd, SIGKILL, NULL, 0);
	}
}

static int serve(struct restore *r, struct lazy_mms *mms)
{
	bool fail_soon = r->opt->fail_at && !strcmp(r->opt->fail_at, "lazy");
	int e = lazy_serve(r->images, mms, fail_soon);

	/* As the last act: nobody has looked whether the page files are whole. */
	return e < 0 ? e : images_verify_late(r->images);
}

/* Ends when all is there. */
static void keep(struct restore *r, struct lazy_mms *mms)
{
	pid_t pid;
	int status = 0, e;

	setsid();
	close_callers(r->opt);
	pid = fork();
	if (pid == 0) {
		e = serve(r, mms);
		if (e < 0)
			fprintf(stderr, "crtool: error: %s; the tree is killed\n", log_failure());
		_exit(e < 0);
	}
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (pid < 0 || status)
		kill_tree(r);
	_exit(pid < 0 || status);
}

static int hold(struct restore *r)
{
	array_each (t, &r->tasks) {
		t->lazy_pidfd = -1;
		if (t->role == ROLE_TASK)
			t->lazy_pidfd = (int)syscall(SYS_pidfd_open, t->pid, 0);
		if (t->role == ROLE_TASK && t->lazy_pidfd < 0)
			return fail(-errno, "%s: hold it", rtask_name(t));
	}
	return 0;
}

int lazy_start(struct restore *r)
{
	struct lazy_mms mms = {};
	pid_t pid = 0;
	int e = 0;

	array_each (t, &r->tasks)
		if (e == 0 && t->lazy && t->lazy->uffd >= 0)
			e = arm(r, t, &mms);
	if (e == 0 && mms.n)
		e = hold(r);
	if (e == 0 && mms.n)
		pid = fork();
	if (e == 0 && mms.n && pid == 0)
		keep(r, &mms);
	if (pid < 0)
		e = fail(-errno, "--lazy: fork who brings the memory");
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
