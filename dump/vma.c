/*
 * The mappings of a task, always with what smaps alone tells in /proc (VmFlags): mlock, the advice of
 * madvise(2), mseal, guard regions, growing stacks and reservations, and all of these can change between two looks
 * without a trace in maps. smaps costs 1.4 us a mapping and a walk of the page tables, 2 to 8 % of what copying
 * the pages costs. So the kernel is asked for the flags of large processes by another way (lib/vma_facts.h), as it is
 * whether they still hold when the process stands still (dump/together.h). Where it does not tell, a large process
 * is looked at without them first, unless it is frozen for little else.
 */
#include "dump/dump.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>

#include "dump/kernel_memory.h"
#include "dump/memory_map.h"
#include "dump/together.h"
#include "lib/cleanup.h"
#include "lib/log.h"
#include "lib/vma_facts.h"
#include "parasite/arch/arch.h"

#define LOWEST   (UINT64_C(1) << 20)   /* keep clear of mmap_min_addr */
#define DISTANCE (UINT64_C(2) << 20)   /* from a stack that may grow */
#define LARGE    (UINT64_C(256) << 20) /* resident, for which asking the kernel pays ... */
#define SOME     (UINT64_C(16) << 20)  /* ... or less, ... */
#define MANY     2000                  /* ... with so many mappings */
#define PAGE     ((uint64_t)4096)

/* Most mappings have no name: they share this one. */
static const char no_name[] = "";

static int vma_add(const struct map_line *line, void *arg)
{
	struct task *t = arg;
	struct vma *v = array_add(&t->vmas);

	if (!v)
		return -ENOMEM;
	*v = (struct vma){ .start = line->start,
		           .end = line->end,
		           .offset = line->offset,
		           .prot = line->prot,
		           .shared = line->shared,
		           .dev = line->dev,
		           .ino = line->ino,
		           .flags = line->flags,
		           .pkey = line->pkey,
		           .name = (char *)no_name };
	if (line->len)
		v->name = strndup(line->name, line->len);
	if (!v->name)
		return -ENOMEM;
	v->class = vma_classify(v);
	return 0;
}

static int vma_add_few(const struct map_line *line, void *arg)
{
	const struct task *t = arg;

	return t->vmas.n < MANY ? vma_add(line, arg) : -E2BIG;
}

static int read_by(struct task *t, int (*each)(int proc, map_fn *fn, void *arg), map_fn *add)
{
	int r;

	vmas_done(t);
	t->flags_known = each == smaps_each;
	if (t->bound_told)
		t->bound_told = t->bound_known = false;
	r = each(t->proc, add, t);
	if (r < 0)
		vmas_done(t);
	return r;
}

/* ---- MLOCK_ONFAULT, which older kernels have no name for in smaps ---- */

static bool is_nameless(uint64_t flags)
{
	return (flags & VMF(lo)) && (flags & VMF_UNNAMED);
}

struct page_flags {
	uint64_t page, flags;
};

static int find_flags(const struct map_line *line, void *arg)
{
	struct page_flags *p = arg;

	if (line->start <= p->page && p->page < line->end)
		p->flags = line->flags;
	return 0;
}

/* Does a page of our own look so? */
static bool onfault_is_nameless(void)
{
	auto_close int proc = open("/proc/self", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	void *page = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct page_flags p = { .page = (uint64_t)page };

	if (page == MAP_FAILED)
		return false;
	if (proc >= 0 && mlock2(page, PAGE, MLOCK_ONFAULT) == 0)
		smaps_each(proc, find_flags, &p);
	munmap(page, PAGE);
	return is_nameless(p.flags);
}

static void name_onfault(struct task *t)
{
	size_t nameless = 0;

	array_each (v, &t->vmas)
		nameless += is_nameless(v->flags);
	if (!nameless || !onfault_is_nameless())
		return;
	array_each (v, &t->vmas)
		if (is_nameless(v->flags))
			v->flags = (v->flags & ~VMF_UNNAMED) | VMF(lf);
}

/* ---- */

int vmas_read(struct task *t)
{
	int r = read_by(t, smaps_each, vma_add);

	if (r == 0)
		name_onfault(t);
	return r;
}

/* ---- by the kernel ---- */

bool vmas_are_told(struct dump *d)
{
	int r = 0;

	if (!d->vma_asks) {
		d->vma_asks = calloc(1, sizeof(*d->vma_asks));
		r = d->vma_asks ? vma_asks_open(kernel_layouts(d), d->vma_asks) : -ENOMEM;
	}
	if (r < 0)
		debug("the kernel does not tell of mappings: %s", strerror(-r));
	return d->vma_asks && d->vma_asks->program >= 0;
}

void vmas_forget(struct dump *d)
{
	if (d->vma_asks)
		vma_asks_done(d->vma_asks);
	free(take_ptr(d->vma_asks));
}

/* Shared memory may have a policy that is not told. */
static int take_facts(struct task *t, const struct vma_fact *facts)
{
	array_done(&t->bound);
	for (size_t i = 0; i < t->vmas.n; i++) {
		struct vma *v = &t->vmas.v[i];
		uint64_t *bound;

		if (v->start != facts[i].start || v->end != facts[i].end)
			return -EAGAIN;
		v->flags = facts[i].flags;
		bound = facts[i].policy || v->shared ? array_add(&t->bound) : &v->start;
		if (!bound)
			return -ENOMEM;
		*bound = v->start;
		v->class = vma_classify(v);
	}
	return 0;
}

/* t->vmas, which have been read without flags, with them: -errno where the kernel does not tell, or of others. */
static int add_flags(const struct dump *d, struct task *t)
{
	auto_free struct vma_fact *facts = NULL;
	ssize_t n = vma_facts_read(d->vma_asks, t->pid, &facts);
	int r = n < 0 ? (int)n : (size_t)n != t->vmas.n ? -EAGAIN : take_facts(t, facts);

	if (r < 0) {
		debug("%s: flags of its mappings are read from smaps: %s", task_name(t),
		      strerror(-r));
		return r;
	}
	t->flags_known = t->bound_told = true;
	name_onfault(t);
	return 0;
}

int vmas_read_again(const struct dump *d, struct task *t)
{
	if (t->bound_told && read_by(t, maps_each, vma_add) == 0 && add_flags(d, t) == 0)
		return 0;
	return vmas_read(t);
}

/* ---- the look ---- */

static uint64_t resident(const struct task *t)
{
	return t->stat.field[STAT_RSS] * PAGE;
}

bool vmas_are_large(const struct task *t)
{
	return resident(t) >= LARGE;
}

/* Huge pages are known by a flag, what has a name like theirs is not looked at without it. */
static bool needs_flags(const struct task *t)
{
	array_each (v, &t->vmas)
		if (!strncmp(v->name, "/memfd:", 7) || !strncmp(v->name, "/anon_huge", 10))
			return true;
	return false;
}

int vmas_look(struct dump *d, struct task *t)
{
	uint64_t size = resident(t);
	int r = size >= SOME ? read_by(t, maps_each, t->looked ? vma_add : vma_add_few) : 0;

	if (r == -E2BIG) {
		if (vmas_are_told(d))
			together_look_at(d, t);
		r = read_by(t, maps_each, vma_add);
	}
	if (r < 0 || size < SOME)
		return r < 0 ? r : vmas_read(t);
	if ((size >= LARGE || t->vmas.n >= MANY) && vmas_are_told(d) && add_flags(d, t) == 0)
		return 0;
	return size < LARGE || needs_flags(t) || t->looked || d->opt->all ? vmas_read(t) : 0;
}

void vmas_done(struct task *t)
{
	array_each (v, &t->vmas)
		if (v->name != no_name)
			free(v->name);
	array_done(&t->vmas);
}

/*
 * Where SIZE bytes fit between LOW and HIGH, at the top of it; 0: they do not.
 * A page stays free on both sides, so that the kernel merges nothing.
 */
static uint64_t gap_between(uint64_t low, uint64_t high, uint64_t size)
{
	if (low < LOWEST)
		low = LOWEST;
	if (high < low || high - low < 2 * PAGE || high - low - 2 * PAGE < size)
		return 0;
	return (high - PAGE - size) & ~(PAGE - 1);
}

uint64_t vmas_gap(const struct task *t, uint64_t size)
{
	uint64_t end = 0, at;

	array_each (v, &t->vmas) {
		uint64_t room = v->flags & VMF(gd) ? DISTANCE : 0;

		if (v->start >= ARCH_USER_END)
			break;
		at = gap_between(end, v->start > room ? v->start - room : 0, size);
		if (at)
			return at;
		end = v->end;
	}
	return gap_between(end, ARCH_USER_END, size);
}

const struct vma *vmas_vdso(const struct task *t)
{
	array_each (v, &t->vmas)
		if (!strcmp(v->name, "[vdso]"))
			return v;
	return NULL;
}
