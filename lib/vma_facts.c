#include "lib/vma_facts.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/array.h"
#include "lib/bpf_iter.h"
#include "lib/cleanup.h"
#include "lib/procfs.h"

#define PAGE UINT64_C(4096)
#define HUGE (UINT64_C(2) << 20)

#ifndef MAP_DROPPABLE
#define MAP_DROPPABLE 0x08 /* 6.11 */
#endif
#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102 /* 6.13 */
#endif

#define NAMELESS    (VMF_UNKNOWN | VMF_UNNAMED)
#define NOBODY      0x3ffffff /* beyond PID_MAX_LIMIT */
#define WORD(field) (offsetof(struct vma_fact, field) / 8)

static int load(const struct btf *b)
{
	struct iter_program p;

	iter_begin(&p, b, sizeof(struct vma_fact) / 8, ITER_MAPPING);
	iter_load_field(&p, 2, 8, "vm_area_struct", "vm_start");
	iter_store(&p, 2, WORD(start));
	iter_load_field(&p, 2, 8, "vm_area_struct", "vm_end");
	iter_store(&p, 2, WORD(end));
	iter_load_field(&p, 2, 8, "vm_area_struct", "vm_flags");
	iter_store(&p, 2, WORD(flags));
	if (btf_place(b, "vm_area_struct", "vm_policy").found) /* CONFIG_NUMA */
		iter_load_field(&p, 2, 8, "vm_area_struct", "vm_policy");
	else
		iter_set(&p, 2, 0);
	iter_store(&p, 2, WORD(policy));
	return iter_load_program(&p);
}

/* ---- reading ---- */

/* What the kernel writes at once: it fills up to 8 pages (kernel/bpf/bpf_iter.c, bpf_seq_read()). */
#define CHUNK 1024

struct list {
	struct vma_fact *v;
	size_t n, room;
};

/*
 * 0: that was all. What does not fit a buffer has no end: the last records come again and again (6.18; the iterator
 * over one thread begins anew where it has been stopped behind the last mapping).
 */
static ssize_t read_chunk(int iter, struct list *l)
{
	uint64_t last = l->n ? l->v[l->n - 1].start : 0;
	ssize_t n;

	if (l->room - l->n < CHUNK) {
		size_t room = 2 * l->room + CHUNK;
		struct vma_fact *more = realloc(l->v, room * sizeof(*more));

		if (!more)
			return -ENOMEM;
		l->v = more;
		l->room = room;
	}
	do
		n = read(iter, l->v + l->n, CHUNK * sizeof(*l->v));
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	n /= (ssize_t)sizeof(*l->v);
	return n && l->n && l->v[l->n].start <= last ? 0 : n;
}

/* As they are, with room for one more. */
static ssize_t read_raw(const struct vma_asks *asks, pid_t pid, struct vma_fact **ret)
{
	auto_close int iter = iter_open(asks->program, pid, 0);
	struct list l = {};
	ssize_t n = iter;

	while (n >= 0 && (n = read_chunk(iter, &l)) > 0)
		l.n += (size_t)n;
	if (n < 0) {
		free(l.v);
		return n;
	}
	*ret = l.v;
	return (ssize_t)l.n;
}

/* Before 6.1 an iterator is over everybody. */
static bool is_of_one(const struct vma_asks *asks)
{
	auto_free struct vma_fact *all = NULL;

	return read_raw(asks, NOBODY, &all) <= 0;
}

/* ---- learning ---- */

/* One mapping for each flag that a program can ask for and we can, too. What fails is not learned. */
static const struct sample {
	int prot, how, advice, lock;
	uint64_t uffd; /* modes of userfaultfd(2) */
} samples[] = {
	{ .prot = PROT_NONE },
	{ .prot = PROT_READ },
	{ .prot = PROT_READ | PROT_WRITE },
	{ .prot = PROT_READ | PROT_EXEC },
	{ .how = MAP_NORESERVE, .prot = PROT_READ | PROT_WRITE },
	{ .how = MAP_SHARED, .prot = PROT_READ | PROT_WRITE },
	{ .how = MAP_GROWSDOWN, .prot = PROT_READ },
	{ .how = MAP_HUGETLB | MAP_NORESERVE, .prot = PROT_READ },
	{ .how = MAP_DROPPABLE, .prot = PROT_READ },
	{ .prot = PROT_READ, .lock = 1 },
	{ .prot = PROT_READ, .lock = 1 + MLOCK_ONFAULT },
	{ .prot = PROT_READ, .advice = MADV_RANDOM },
	{ .prot = PROT_READ, .advice = MADV_SEQUENTIAL },
	{ .prot = PROT_READ, .advice = MADV_DONTFORK },
	{ .prot = PROT_READ, .advice = MADV_DONTDUMP },
	{ .prot = PROT_READ, .advice = MADV_WIPEONFORK },
	{ .prot = PROT_READ, .advice = MADV_HUGEPAGE },
	{ .prot = PROT_READ, .advice = MADV_NOHUGEPAGE },
	{ .prot = PROT_READ, .advice = MADV_MERGEABLE },
	{ .prot = PROT_READ, .advice = MADV_GUARD_INSTALL },
	{ .prot = PROT_READ, .uffd = UFFDIO_REGISTER_MODE_WP },
	{ .prot = PROT_READ, .uffd = UFFDIO_REGISTER_MODE_MISSING },
};

static size_t sample_size(const struct sample *s)
{
	return s->how & MAP_HUGETLB ? HUGE : PAGE;
}

static int uffd_open(void)
{
	struct uffdio_api api = { .api = UFFD_API };
	auto_close int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY);

	return fd >= 0 && ioctl(fd, UFFDIO_API, &api) == 0 ? take_fd(&fd) : -1;
}

static void *sample_map(const struct sample *s, int uffd)
{
	struct uffdio_register area = { .range.len = sample_size(s), .mode = s->uffd };
	int sharing = s->how & (MAP_SHARED | MAP_DROPPABLE) ? 0 : MAP_PRIVATE;
	void *p = mmap(NULL, sample_size(s), s->prot, MAP_ANONYMOUS | sharing | s->how, -1, 0);

	if (p == MAP_FAILED)
		return NULL;
	if (s->advice)
		madvise(p, sample_size(s), s->advice);
	if (s->lock)
		mlock2(p, sample_size(s), (unsigned)s->lock - 1);
	area.range.start = (uintptr_t)p;
	if (s->uffd && uffd >= 0)
		ioctl(uffd, UFFDIO_REGISTER, &area);
	return p;
}

/* A file, mapped so that nobody can make it writable: shared, but not to be written to. */
static void *file_map(void)
{
	auto_close int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	void *p = fd < 0 ? MAP_FAILED : mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);

	return p == MAP_FAILED ? NULL : p;
}

struct lesson {
	struct vma_asks *asks;
	const struct vma_fact *facts;
	size_t n, at;
	uint64_t seen_bits, seen_names;
};

static void compare(struct lesson *l, uint64_t bits, uint64_t names)
{
	for (size_t i = 0; i < 64; i++) {
		l->asks->names[i] &= bits >> i & 1 ? names : ~names;
		l->asks->bits[i] &= names >> i & 1 ? bits : ~bits;
	}
	l->seen_bits |= bits;
	l->seen_names |= names;
}

/* A line of smaps; both are by address. What has changed meanwhile is in one of the two. */
static int learn(const struct map_line *line, void *arg)
{
	struct lesson *l = arg;

	while (l->at < l->n && l->facts[l->at].start < line->start)
		l->at++;
	if (l->at < l->n && l->facts[l->at].start == line->start &&
	    l->facts[l->at].end == line->end)
		compare(l, l->facts[l->at].flags, line->flags);
	else if (l->at == l->n && line->start >> 63)
		l->asks->gate = (struct vma_fact){ line->start, line->end, line->flags, 0 };
	return 0;
}

static int learn_all(struct vma_asks *asks)
{
	auto_close int proc = open("/proc/self", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	auto_free struct vma_fact *facts = NULL;
	ssize_t n = proc < 0 ? -errno : read_raw(asks, gettid(), &facts);
	struct lesson l = { .asks = asks, .facts = facts, .n = (size_t)n };
	int r;

	if (n < 0)
		return (int)n;
	memset(asks->names, 0xff, sizeof(asks->names));
	memset(asks->bits, 0xff, sizeof(asks->bits));
	r = smaps_each(proc, learn, &l);
	for (size_t i = 0; i < 64; i++) {
		asks->names[i] &= l.seen_bits >> i & 1 ? l.seen_names : 0;
		asks->bits[i] &= l.seen_bits;
		/* What smaps says is not all in the flags? */
		if (r == 0 && (l.seen_names & ~NAMELESS) >> i & 1 && !asks->bits[i])
			r = -EOPNOTSUPP;
	}
	return r;
}

static int learn_by_samples(struct vma_asks *asks)
{
	void *at[ARRAY_SIZE(samples)], *file = file_map();
	auto_close int uffd = uffd_open();
	int r;

	for (size_t i = 0; i < ARRAY_SIZE(samples); i++)
		at[i] = sample_map(&samples[i], uffd);
	r = learn_all(asks);
	for (size_t i = 0; i < ARRAY_SIZE(samples); i++)
		if (at[i])
			munmap(at[i], sample_size(&samples[i]));
	if (file)
		munmap(file, PAGE);
	return r;
}

/* ---- */

int vma_asks_open(const struct btf *b, struct vma_asks *ret)
{
	int r;

	*ret = (struct vma_asks){ .program = load(b) };
	r = ret->program < 0 ? ret->program : is_of_one(ret) ? learn_by_samples(ret) : -EOPNOTSUPP;
	if (r < 0)
		vma_asks_done(ret);
	return r;
}

void vma_asks_done(struct vma_asks *asks)
{
	closep(&asks->program);
}

/*
 * Flags that always came together have as many bits, though it is not known which has which: all of them, or none.
 * Where one of the bits has no name, it is not known what they are.
 */
static bool translate(const struct vma_asks *asks, uint64_t *flags)
{
	uint64_t left = *flags, names = 0;

	while (left) {
		uint64_t of = asks->names[__builtin_ctzll(left)];
		uint64_t bits = of ? asks->bits[__builtin_ctzll(of)] : 0;

		if (!of || (left & bits) != bits ||
		    __builtin_popcountll(of) != __builtin_popcountll(bits))
			return false;
		left &= ~bits;
		names |= of;
	}
	*flags = names;
	return true;
}

ssize_t vma_facts_read(const struct vma_asks *asks, pid_t pid, struct vma_fact **ret)
{
	auto_free struct vma_fact *all = NULL;
	ssize_t n = read_raw(asks, pid, &all);

	for (ssize_t i = 0; i < n; i++)
		if (!translate(asks, &all[i].flags))
			return -EOPNOTSUPP;
	if (n > 0 && asks->gate.start)
		all[n++] = asks->gate;
	if (n >= 0)
		*ret = take_ptr(all);
	return n;
}
