#include "dump/together.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "dump/inode.h"
#include "dump/kernel_memory.h"
#include "dump/pagemap.h"
#include "dump/pages_scan.h"
#include "lib/cleanup.h"
#include "lib/fd.h"
#include "lib/log.h"
#include "lib/proc_facts.h"
#include "lib/procfs.h"
#include "parasite/arch/arch.h"

#define WORTH   48  /* processes for which asking the kernel pays ... */
#define PART    8   /* ... if no more than that many times as many are told of */
#define THREADS 400 /* whose stacks make so many mappings that it pays for these alone */

#define PAGE 4096

/* Forgotten with the dump. */
struct together {
	struct proc_asks asks;
	bool each;   /* process is asked about, and not its descriptors */
	bool guards; /* are shown as flags of mappings */
	struct proc_facts *looked, *now;
	ARRAY(struct proc_facts *) looked_at; /* one each */
	struct open_fact *opens;
	void *files; /* by address */
	void *texts; /* by what they depend on; hands that peek find and keep some at once ... */
	pthread_mutex_t lock; /* ... hence this, of the tree alone: what is in it stays as it is */
};

/* What was read of a process, and its facts. */
struct text {
	enum told what;
	const uint64_t *facts;
	char *text;
	ssize_t len;
	struct told_place place;
};

struct known {
	uint64_t address;
	size_t id;
};

/* ---- guard regions: what changes flags, and takes no lock that is counted (6.18) ---- */

static int find_guard(const struct map_line *line, void *arg)
{
	bool *guards = arg;

	*guards |= (line->flags & VMF(gu)) != 0;
	return 0;
}

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102 /* 6.13 */
#endif

static bool guards_are_shown(void)
{
	auto_close int proc = open("/proc/self", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	void *page = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	bool shown = proc < 0 || page == MAP_FAILED;

	if (!shown && madvise(page, PAGE, MADV_GUARD_INSTALL) == 0)
		shown = smaps_each(proc, find_guard, &shown) < 0 || shown;
	if (page != MAP_FAILED)
		munmap(page, PAGE);
	return shown;
}

/* Or may it have? */
static bool has_guards(const struct dump *d, struct task *t)
{
	auto_(borrowed_done) struct borrowed pagemap = pages_pagemap(d, t);
	uint64_t at = t->vmas.v[0].start;
	struct page_region first;

	return pagemap.fd < 0 ||
	       pagemap_find(pagemap.fd, PAGEMAP_GUARD, &at, ARCH_USER_END, &first, 1) != 0;
}

/* ---- the look ---- */

static bool are_many(const struct dump *d)
{
	return d->tasks.n >= WORTH && d->census.all.n <= d->tasks.n * PART;
}

/*
 * Nothing but the state is read while it stands still: a walk of its page tables would be half of that. Or there is
 * none.
 */
static bool is_short(struct dump *d, const struct task *t)
{
	return vmas_are_large(t) && (d->opt->snapshot || d->opt->memory_only || vmas_are_told(d));
}

static bool is_worth_it(struct dump *d)
{
	size_t threads = 0;
	bool large = false;

	array_each (t, &d->tasks) {
		threads += t->threads.n;
		large = large || (t->state != TASK_ZOMBIE && is_short(d, t));
	}
	return are_many(d) || threads >= THREADS || large;
}

bool together_tells(const struct dump *d)
{
	return d->together && !d->together->each && d->together->asks.processes >= 0;
}

/* Does the kernel tell of processes? */
static bool begin(struct dump *d)
{
	struct together *g = d->together;
	int r;

	if (g)
		return g->asks.processes >= 0;
	g = d->together = calloc(1, sizeof(*g));
	if (!g)
		return false;
	pthread_mutex_init(&g->lock, NULL);
	g->each = !are_many(d);
	r = proc_asks_open(kernel_layouts(d), &g->asks, !g->each);
	if (r < 0)
		g->asks = (struct proc_asks){ .processes = -1, .opens = -1 };
	else
		g->guards = guards_are_shown();
	if (r < 0)
		debug("the kernel does not tell of processes: %s", strerror(-r));
	return r == 0;
}

static ssize_t read_each(const struct dump *d, struct proc_facts **ret)
{
	struct proc_facts *facts = calloc(d->tasks.n, sizeof(*facts));
	ssize_t n = 0;

	if (!facts)
		return -ENOMEM;
	array_each (t, &d->tasks)
		n += proc_facts_of(&d->together->asks, t->pid, &facts[n]) == 0;
	*ret = facts;
	return n;
}

/* What *FACTS points to, read again. */
static void read_processes(struct dump *d, bool now)
{
	struct together *g = d->together;
	struct proc_facts **facts = now ? &g->now : &g->looked;
	ssize_t n;

	free(take_ptr(*facts));
	n = g->asks.processes < 0 ? 0
	    : g->each             ? read_each(d, facts)
	                          : proc_facts_read(&g->asks, facts);
	for (ssize_t i = 0; i < n; i++) {
		struct task *t = task_find(d, (pid_t)(*facts)[i].v[PROC_PID]);

		if (t)
			*(now ? &t->now : &t->looked) = &(*facts)[i];
	}
}

void together_look(struct dump *d)
{
	if (is_worth_it(d) && begin(d))
		read_processes(d, false);
}

void together_look_at(struct dump *d, struct task *t)
{
	struct proc_facts *facts, **slot;

	if (t->looked || !begin(d))
		return;
	slot = array_add(&d->together->looked_at);
	if (!slot)
		return;
	*slot = facts = malloc(sizeof(*facts));
	if (facts && proc_facts_of(&d->together->asks, t->pid, facts) == 0)
		t->looked = facts;
}

/* ---- frozen ---- */

void together_read_opens(struct dump *d)
{
	struct together *g = d->together;
	ssize_t n;

	if (!g)
		return;
	free(take_ptr(g->opens));
	n = g->asks.opens < 0 ? 0 : open_facts_read(&g->asks, &g->opens);
	for (ssize_t i = 0, end; i < n; i = end) {
		struct task *t = task_find(d, (pid_t)g->opens[i].pid);

		for (end = i + 1; end < n && g->opens[end].pid == g->opens[i].pid;)
			end++;
		if (!t || t->headless)
			continue;
		t->opens = &g->opens[i];
		t->n_opens = (size_t)(end - i);
	}
}

static void text_free(void *p)
{
	struct text *text = p;

	free(text->text);
	free(text);
}

static void forget_texts(struct together *g)
{
	tdestroy(g->texts, text_free);
	g->texts = NULL;
}

void together_frozen(struct dump *d)
{
	array_each (t, &d->tasks) {
		t->now = NULL;
		t->opens = NULL;
		t->n_opens = 0;
	}
	if (d->together)
		forget_texts(d->together);
}

void together_read_processes(struct dump *d)
{
	if (d->together)
		read_processes(d, true);
}

bool together_same_maps(const struct dump *d, struct task *t)
{
	return t->looked && t->now && t->flags_known && t->vmas.n && !t->headless &&
	       proc_same_maps(t->looked, t->now) && !(d->together->guards && has_guards(d, t));
}

static bool can_be_told(const struct dump *d, const struct task *t)
{
	return d->frozen && t->now && !t->headless;
}

bool together_no_timers(const struct task *t)
{
	return t->now && !t->now->v[PROC_TIMERS];
}

const uint64_t *together_limits(const struct dump *d, const struct task *t)
{
	return can_be_told(d, t) ? &t->now->v[PROC_LIMITS] : NULL;
}

/* ---- texts and links ---- */

static const struct {
	const char *name;
	enum proc_fact first;
	size_t n; /* facts that it depends on */
} told[] = {
	[TOLD_AUXV] = { "auxv", PROC_AUXV, PROC_AUXV_N },
	[TOLD_OOM] = { "oom_score_adj", PROC_OOM, 1 },
	[TOLD_COREDUMP] = { "coredump_filter", PROC_MM_FLAGS, 1 },
	[TOLD_CGROUP] = { "cgroup", PROC_CGROUPS, 1 },
	[TOLD_EXE] = { "exe", PROC_EXE, 1 },
	[TOLD_CWD] = { "cwd", PROC_CWD, 2 },
	[TOLD_ROOT] = { "root", PROC_ROOT, 2 },
};

static int by_facts(const void *a, const void *b)
{
	const struct text *x = a, *y = b;

	if (x->what != y->what)
		return x->what < y->what ? -1 : 1;
	return memcmp(x->facts, y->facts, told[x->what].n * sizeof(*x->facts));
}

static struct text *find_text(struct dump *d, const struct task *t, enum told what)
{
	struct text key = { .what = what }, **found, *ret;

	if (!can_be_told(d, t))
		return NULL;
	key.facts = &t->now->v[told[what].first];
	pthread_mutex_lock(&d->together->lock);
	found = tfind(&key, &d->together->texts, by_facts);
	ret = found ? *found : NULL;
	pthread_mutex_unlock(&d->together->lock);
	return ret;
}

static char *copy_text(const struct text *t)
{
	char *copy = malloc((size_t)t->len + 1);

	return copy ? memcpy(copy, t->text, (size_t)t->len + 1) : NULL;
}

/* By best effort. */
static void keep_text(struct dump *d, const struct task *t, enum told what, const struct text *read)
{
	struct text *text = can_be_told(d, t) ? malloc(sizeof(*text)) : NULL, **kept;

	if (!text)
		return;
	*text = *read;
	text->what = what;
	text->facts = &t->now->v[told[what].first];
	text->text = copy_text(read);
	pthread_mutex_lock(&d->together->lock);
	kept = text->text ? tsearch(text, &d->together->texts, by_facts) : NULL;
	pthread_mutex_unlock(&d->together->lock);
	if (!kept || *kept != text) /* another hand was faster */
		text_free(text);
}

ssize_t together_read(struct dump *d, const struct task *t, enum told what, char **ret)
{
	const struct text *found = find_text(d, t, what);
	struct text read = {};

	if (found) {
		*ret = copy_text(found);
		return *ret ? found->len : -ENOMEM;
	}
	read.len = file_read_record(t->proc, told[what].name, ret);
	if (read.len >= 0) {
		read.text = *ret;
		keep_text(d, t, what, &read);
	}
	return read.len;
}

static int read_place(const struct task *t, enum told what, const char *link,
                      struct told_place *ret)
{
	if (fstatat(t->proc, told[what].name, &ret->st, 0) < 0)
		return -errno;
	ret->leads = inode_leads_to(link, &ret->st);
	return 0;
}

int together_link(struct dump *d, const struct task *t, enum told what, char **ret,
                  struct told_place *ret_place)
{
	const struct text *found = find_text(d, t, what);
	struct text read = {};
	int r;

	if (found) {
		if (ret_place)
			*ret_place = found->place;
		*ret = copy_text(found);
		return *ret ? 0 : -ENOMEM;
	}
	r = link_read(t->proc, told[what].name, ret);
	if (r == 0 && ret_place)
		r = read_place(t, what, *ret, &read.place);
	if (r < 0)
		return r;
	if (ret_place)
		*ret_place = read.place;
	read.text = *ret;
	read.len = (ssize_t)strlen(*ret);
	keep_text(d, t, what, &read);
	return 0;
}

/* ---- files ---- */

static const struct open_fact *find_open(const struct task *t, int fd)
{
	for (size_t low = 0, high = t->n_opens; low < high;) {
		size_t at = low + (high - low) / 2;

		if (t->opens[at].fd == (uint64_t)fd)
			return &t->opens[at];
		if (t->opens[at].fd < (uint64_t)fd)
			low = at + 1;
		else
			high = at;
	}
	return NULL;
}

static int by_address(const void *a, const void *b)
{
	const struct known *x = a, *y = b;

	return x->address < y->address ? -1 : x->address > y->address;
}

bool together_is_open(const struct task *t, int fd)
{
	return find_open(t, fd);
}

size_t together_file(const struct dump *d, const struct open_fact *open)
{
	const struct known key = { .address = open->file };
	struct known *const *found =
		open->locks ? NULL : tfind(&key, &d->together->files, by_address);

	return found ? (*found)->id : 0;
}

int together_add_file(struct dump *d, const struct task *t, int fd, size_t id)
{
	const struct open_fact *open = find_open(t, fd);
	struct known *known, **found;

	if (!open)
		return 0;
	known = malloc(sizeof(*known));
	if (!known)
		return -ENOMEM;
	*known = (struct known){ open->file, id };
	found = tsearch(known, &d->together->files, by_address);
	if (!found || *found != known)
		free(known);
	return found ? 0 : -ENOMEM;
}

void together_forget_files(struct dump *d)
{
	if (!d->together)
		return;
	tdestroy(d->together->files, free);
	d->together->files = NULL;
}

void together_done(struct dump *d)
{
	struct together *g = d->together;

	if (!g)
		return;
	together_forget_files(d);
	forget_texts(g);
	proc_asks_done(&g->asks);
	free(g->looked);
	array_each (facts, &g->looked_at)
		free(*facts);
	array_done(&g->looked_at);
	free(g->now);
	free(g->opens);
	free(g);
	d->together = NULL;
}
