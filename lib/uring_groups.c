/*
 * The groups of a ring are in an xarray by their numbers. A ring of buffers that is in memory of the program is
 * known to the kernel by its pages alone: which these are is told by their numbers, the frames of
 * /proc/PID/pagemap. What number a structure of the kernel stands for is seen at a page of our own.
 */
#include "lib/uring_groups.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/fd.h"
#include "lib/uring.h"

#define GROUP       "io_buffer_list"
#define GROUPS      65536u
#define BUFFERS_MAX 65536u
#define PAGE        4096u
#define PAGES_MAX   512u /* of a ring of 32768 */
#define FRAME       ((UINT64_C(1) << 55) - 1)
#define IS_RING     1u /* in the flags of a group ... */
#define PARTS       2u
/* An entry of an xarray (include/linux/xarray.h): a node, or something that the tree needs itself. */
#define IS_INTERNAL(entry) (((entry)&3) == 2)
#define INTERNAL_MAX       4096u

struct reader {
	struct kmem_reader kernel;
	struct {
		struct place shift, slots, after;
	} node;
	struct {
		uint64_t base; /* of the structures page of all frames */
		uint64_t size; /* of one; 0: not known yet */
	} pages;
	struct uring_groups *ret;
};

static const struct place word = { .found = true, .size = 8 };

static bool failed(const struct reader *r)
{
	return r->kernel.error < 0;
}

/* ---- frames ---- */

/* The structure of the first page that the group at AT is in. */
static uint64_t first_page(struct reader *r, uint64_t at)
{
	uint64_t pages = kmem_get(&r->kernel, GROUP, "region.pages", at);

	return pages ? kmem_get_at(&r->kernel, &word, pages) : 0;
}

static int own_frame(const void *at, uint64_t *ret)
{
	auto_close int fd = open("/proc/thread-self/pagemap", O_RDONLY | O_CLOEXEC);
	int r = fd < 0 ? -errno
	               : pread_full(fd, ret, sizeof(*ret), (off_t)((uintptr_t)at / PAGE * 8));

	*ret &= FRAME;
	return r == 0 && !*ret ? -EPERM : r;
}

/* A group of our own, number 0 of a ring that has no others. */
static int calibrate_with(struct reader *r, const struct uring *u, void *page)
{
	struct io_uring_buf_reg reg = { .ring_addr = (uintptr_t)page, .ring_entries = 1 };
	const struct btf_type *t = btf_struct(r->kernel.k->btf, "page");
	uint64_t frame = 0, at;
	int e = own_frame(page, &frame);

	if (e < 0 || !t)
		return e < 0 ? e : -EOPNOTSUPP;
	if (syscall(SYS_io_uring_register, u->fd, IORING_REGISTER_PBUF_RING, &reg, 1) < 0)
		return -errno;
	at = kmem_get(&r->kernel, "io_ring_ctx", "io_bl_xa.xa_head",
	              kmem_private(&r->kernel, u->fd));
	at = at ? first_page(r, at) : 0;
	if (!at)
		return -EOPNOTSUPP;
	r->pages.size = t->size;
	r->pages.base = at - frame * t->size;
	return 0;
}

static int calibrate(struct reader *r)
{
	auto_(uring_done) struct uring u = URING_NONE;
	void *page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
	                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	int e = page == MAP_FAILED ? -errno : uring_make(&u, 1, 2, 0);

	if (e == 0)
		e = calibrate_with(r, &u, page);
	if (page != MAP_FAILED)
		munmap(page, PAGE);
	return e;
}

static void frames_read(struct reader *r, uint64_t at, struct uring_group *group)
{
	uint64_t pages = kmem_get(&r->kernel, GROUP, "region.pages", at);
	uint64_t n = kmem_get(&r->kernel, GROUP, "region.nr_pages", at);

	if (!failed(r) && !r->pages.size)
		kmem_failed(&r->kernel, calibrate(r));
	if (n > PAGES_MAX)
		kmem_failed(&r->kernel, -EOPNOTSUPP);
	for (uint64_t i = 0; !failed(r) && i < n; i++) {
		uint64_t page = kmem_get_at(&r->kernel, &word, pages + 8 * i);
		uint64_t *slot = array_add(&group->frames);

		if (!slot || (page - r->pages.base) % r->pages.size)
			kmem_failed(&r->kernel, slot ? -EOPNOTSUPP : -ENOMEM);
		else
			*slot = (page - r->pages.base) / r->pages.size;
	}
}

/* ---- groups ---- */

static void buffers_read(struct reader *r, uint64_t at, struct uring_group *group)
{
	uint64_t head = at + kmem_place(&r->kernel, GROUP, "buf_list").at;
	const struct place list = kmem_place(&r->kernel, "io_buffer", "list");
	uint64_t node = kmem_get_at(&r->kernel, &word, head);

	while (!failed(r) && node != head) {
		struct uring_buffer *buffer = array_add(&group->buffers);

		if (!node || !buffer || group->buffers.n > BUFFERS_MAX) {
			kmem_failed(&r->kernel, buffer ? -EPROTO : -ENOMEM);
			return;
		}
		buffer->addr = kmem_get(&r->kernel, "io_buffer", "addr", node - list.at);
		buffer->len = (uint32_t)kmem_get(&r->kernel, "io_buffer", "len", node - list.at);
		buffer->id = (uint32_t)kmem_get(&r->kernel, "io_buffer", "bid", node - list.at);
		node = kmem_get_at(&r->kernel, &word, node);
	}
}

static void group_read(struct reader *r, uint32_t id, uint64_t at)
{
	struct uring_group *group = array_add(&r->ret->all);
	uint64_t flags = kmem_get(&r->kernel, GROUP, "flags", at);

	if (!group || flags & ~(uint64_t)(IS_RING | PARTS)) {
		kmem_failed(&r->kernel, group ? -EOPNOTSUPP : -ENOMEM);
		return;
	}
	group->id = id;
	if (!(flags & IS_RING)) {
		buffers_read(r, at, group);
		return;
	}
	group->entries = (uint32_t)kmem_get(&r->kernel, GROUP, "nr_entries", at);
	group->head = (uint32_t)kmem_get(&r->kernel, GROUP, "head", at);
	group->parts = flags & PARTS;
	frames_read(r, at, group);
}

/* All of one node before the next: that is the order of their numbers. */
static void entry_read(struct reader *r, uint64_t entry, uint64_t first, int deep)
{
	uint64_t node = entry & ~UINT64_C(3), shift, slots;

	if (failed(r) || !entry || first >= GROUPS)
		return;
	if (!IS_INTERNAL(entry)) {
		group_read(r, (uint32_t)first, entry);
		return;
	}
	if (entry <= INTERNAL_MAX || deep > 3) {
		kmem_failed(&r->kernel, -EPROTO);
		return;
	}
	shift = kmem_get_at(&r->kernel, &r->node.shift, node);
	slots = (r->node.after.at - r->node.slots.at) / 8;
	for (uint64_t i = 0; shift < 16 && i < slots; i++)
		entry_read(r, kmem_get_at(&r->kernel, &word, node + r->node.slots.at + 8 * i),
		           first + (i << shift), deep + 1);
}

int uring_groups_read(const struct kmem *k, int fd, struct uring_groups *ret)
{
	struct reader r = { .kernel.k = k, .ret = ret };
	uint64_t ring;

	*ret = (struct uring_groups){};
	r.node.shift = kmem_place(&r.kernel, "xa_node", "shift");
	r.node.slots = kmem_place(&r.kernel, "xa_node", "slots");
	r.node.after = kmem_place(&r.kernel, "xa_node", "tags");
	ring = kmem_private(&r.kernel, fd);
	entry_read(&r, kmem_get(&r.kernel, "io_ring_ctx", "io_bl_xa.xa_head", ring), 0, 0);
	if (failed(&r))
		uring_groups_done(ret);
	return r.kernel.error;
}

void uring_groups_done(struct uring_groups *g)
{
	array_each (group, &g->all) {
		array_done(&group->frames);
		array_done(&group->buffers);
	}
	array_done(&g->all);
}

uint64_t uring_groups_requests(const Img__IoUring *msg)
{
	uint64_t n = 0;

	for (size_t i = 0; i < msg->n_group; i++)
		n += msg->group[i]->n_addr + msg->group[i]->head;
	return n;
}

/* With an array of indexes, all requests of a sort are one. */
uint64_t uring_groups_written(const Img__IoUring *msg)
{
	uint64_t n = msg->array ? 1 : msg->sq_entries;

	for (size_t i = 0; i < msg->n_group; i++) {
		uint32_t head = msg->group[i]->head, most = msg->array ? 1 : msg->sq_entries;

		n += msg->group[i]->n_addr + (head < most ? head : most);
	}
	return n;
}

bool uring_all_alike(const Img__IoUring *msg)
{
	return !msg->n_group && !msg->surplus;
}

uint32_t uring_messages(const Img__IoUring *msg)
{
	return msg->surplus > 0 && msg->setup & URING_SINGLE_ISSUER ? (uint32_t)msg->surplus : 0;
}

/* Those that give or take buffers have one each. */
bool uring_surplus_fits(const Img__IoUring *msg)
{
	uint64_t others = uring_groups_requests(msg), messages = uring_messages(msg);
	int64_t all = (int64_t)msg->done + msg->surplus;

	return others <= msg->done && all >= (int64_t)others && all <= URING_DONE_MAX &&
	       messages <= msg->done - others &&
	       (!messages ||
	        (msg->cq_entries >= 2 && messages / (msg->cq_entries / 2) <= URING_STEPS_MAX));
}
