/*
 * Provided buffers, dump half. A ring of buffers is memory of the program, or of the kernel, which both map; how many
 * the kernel has taken from it is known to the kernel alone, as a list of buffers is (lib/uring_groups.h). The restore
 * gives and takes them by requests, which a ring must have carried out at least as many of; that is so unless
 * a request has taken more than one (IORING_RECVSEND_BUNDLE).
 */
#include "dump/ring_groups.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "dump/kernel_memory.h"
#include "dump/memory_map.h"
#include "dump/pagemap.h"
#include "lib/cleanup.h"
#include "lib/uring.h"
#include "lib/uring_groups.h"

#define PAGE    UINT64_C(4096)
#define UNKNOWN "its provided buffers cannot be told"

static int group_new(Img__IoUring *msg, Img__IoUring__Group **ret)
{
	Img__IoUring__Group **all = reallocarray(msg->group, msg->n_group + 1, sizeof(*msg->group));

	if (!all)
		return -ENOMEM;
	msg->group = all;
	*ret = calloc(1, sizeof(**ret));
	if (!*ret)
		return -ENOMEM;
	img__io_uring__group__init(*ret);
	msg->group[msg->n_group++] = *ret;
	return 0;
}

void ring_groups_done(Img__IoUring *msg)
{
	for (size_t i = 0; i < msg->n_group; i++) {
		Img__IoUring__Group *g = msg->group[i];

		free(g->ring.data);
		free(g->addr);
		free(g->length);
		free(g->first);
		free(g->count);
		free(g);
	}
	free(msg->group);
	msg->group = NULL;
	msg->n_group = 0;
}

/* ---- lists ---- */

/* Does B follow the last of the buffers that are in G? */
static bool follows(const Img__IoUring__Group *g, const struct uring_buffer *b)
{
	size_t n = g->n_addr;

	return n && b->len == g->length[n - 1] && b->id == g->first[n - 1] + g->count[n - 1] &&
	       b->addr == g->addr[n - 1] + (uint64_t)g->count[n - 1] * g->length[n - 1];
}

/* As few requests as possible give them all, in this order. */
static int list_put(const struct uring_group *group, Img__IoUring__Group *g)
{
	size_t n = group->buffers.n + 1;

	g->addr = calloc(n, sizeof(*g->addr));
	g->length = calloc(n, sizeof(*g->length));
	g->first = calloc(n, sizeof(*g->first));
	g->count = calloc(n, sizeof(*g->count));
	if (!g->addr || !g->length || !g->first || !g->count)
		return -ENOMEM;
	array_each (b, &group->buffers) {
		if (follows(g, b)) {
			g->count[g->n_addr - 1]++;
			continue;
		}
		g->addr[g->n_addr] = b->addr;
		g->length[g->n_addr] = b->len;
		g->first[g->n_addr] = b->id;
		g->count[g->n_addr] = 1;
		g->n_length = g->n_first = g->n_count = ++g->n_addr;
	}
	return 0;
}

/* ---- rings ---- */

static bool is_writable(const struct vma *v)
{
	enum vma_class c = vma_class(v);

	return v->prot & PROT_WRITE && (c == VMA_ANON || c == VMA_FILE || c == VMA_SHMEM);
}

/* Are those the frames of what follows AT? */
static bool same_frames(int pagemap, const struct uring_group *group, const struct vma *v,
                        uint64_t at)
{
	for (size_t i = 0; i < group->frames.n; i++) {
		uint64_t page = at + i * PAGE, found;

		if (page >= v->end ||
		    pagemap_where(pagemap, group->frames.v[i], page, page + PAGE, &found) < 0)
			return false;
	}
	return true;
}

/* Where T has it; 0: nowhere. */
static uint64_t find_ring(const struct task *t, const struct uring_group *group)
{
	auto_close int pagemap = openat(t->proc, "pagemap", O_RDONLY | O_CLOEXEC);

	if (pagemap < 0 || !group->frames.n)
		return 0;
	array_each (v, &t->vmas) {
		uint64_t at = v->start;

		while (is_writable(v) &&
		       pagemap_where(pagemap, group->frames.v[0], at, v->end, &at) == 0) {
			if (same_frames(pagemap, group, v, at))
				return at;
			at += PAGE;
		}
	}
	return 0;
}

/* Memory of the kernel's can be mapped, and what is in it copied; any other cannot. -ENOENT: it is another. */
static int copy_ring(int fd, const struct uring_group *group, Img__IoUring__Group *g)
{
	size_t size = group->entries * sizeof(struct io_uring_buf);
	void *at = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, (off_t)uring_group_offset(g->id));

	if (at == MAP_FAILED)
		return -ENOENT;
	g->ring.data = malloc(size);
	g->ring.len = size;
	if (g->ring.data)
		memcpy(g->ring.data, at, size);
	munmap(at, size);
	return g->ring.data ? 0 : -ENOMEM;
}

static const char *ring_put(const struct dump *d, const struct file *f, int fd,
                            const struct uring_group *group, Img__IoUring__Group *g)
{
	int r = copy_ring(fd, group, g);

	g->entries = group->entries;
	g->head = group->head;
	g->parts = group->parts;
	if (r != -ENOENT)
		return r < 0 ? UNKNOWN : NULL;
	if (!d->frozen)
		return NULL;
	g->address = find_ring(mm_of(f->task), group);
	return g->address ? NULL
	                  : "a ring of provided buffers (IORING_REGISTER_PBUF_RING) is in memory "
	                    "that its process has no more, or is not shown";
}

/* ---- all ---- */

/* Those of a thread of the kernel read a file that is registered for a moment. */
static const char *obstacle(const struct uring_facts *facts, const Img__IoUring__Group *g)
{
	if (!g->head)
		return NULL;
	return g->parts && facts->setup & URING_SINGLE_ISSUER
	               ? "provided buffers of it are taken by parts (IOU_PBUF_RING_INC), and one "
	                 "thread "
	                 "alone may use it (IORING_SETUP_SINGLE_ISSUER)"
	       : facts->setup & IORING_SETUP_SQPOLL && facts->file.n
	               ? "it has provided buffers and registered files, and a thread of the kernel "
	                 "polls it (IORING_SETUP_SQPOLL)"
	               : NULL;
}

static const char *group_put(const struct dump *d, const struct file *f, int fd,
                             const struct uring_facts *facts, const struct uring_group *group,
                             Img__IoUring *msg)
{
	Img__IoUring__Group *g;
	const char *why;

	if (group_new(msg, &g) < 0)
		return UNKNOWN;
	g->id = group->id;
	if (!group->entries)
		return list_put(group, g) < 0 ? UNKNOWN : NULL;
	why = ring_put(d, f, fd, group, g);
	return why ? why : obstacle(facts, g);
}

static bool shared_by_others(const struct dump *d, const struct file *f)
{
	array_each (t, &d->tasks)
		array_each (e, &t->fds)
			if (e->file == f->id - 1 && mm_of(t) != mm_of(f->task))
				return true;
	return false;
}

const char *ring_groups_put(struct dump *d, const struct file *f, const struct uring_facts *facts,
                            Img__IoUring *msg)
{
	auto_(uring_groups_done) struct uring_groups groups = {};
	auto_close int fd = file_steal(f);
	const char *why = NULL;

	if (!facts->buffer_groups)
		return NULL;
	if (fd < 0 || uring_groups_read(kernel_memory(d), fd, &groups) < 0)
		return UNKNOWN;
	if (shared_by_others(d, f))
		return "it has provided buffers, and more than one process has it open";
	array_each (group, &groups.all)
		if (!why && (group->entries || group->buffers.n))
			why = group_put(d, f, fd, facts, group, msg);
	return why ? why
	       : uring_groups_requests(msg) > msg->done
	               ? "requests have taken more than one of its provided buffers "
	                 "(IORING_RECVSEND_BUNDLE)"
	       : facts->setup & URING_SINGLE_ISSUER && uring_groups_written(msg) > URING_STEPS_MAX
	               ? "it has too many provided buffers for one that one thread alone may use "
	                 "(IORING_SETUP_SINGLE_ISSUER)"
	               : NULL;
}
