#include "lib/uring_facts.h"

#include <errno.h>
#include <stdlib.h>

#include "lib/cleanup.h"

#define RING       "io_ring_ctx"
#define FILES_MAX  1048576u /* IORING_MAX_FIXED_FILES */
#define USERS_MAX  4096
#define FILE_FLAGS UINT64_C(7) /* kept in the lowest bits of an address */

struct reader {
	struct kmem_reader kernel;
	uint64_t ring;
};

static uint64_t ring(struct reader *r, const char *path)
{
	return kmem_get(&r->kernel, RING, path, r->ring);
}

/* What is in a table: the addresses of its slots, 0 for empty ones. */
struct table {
	struct place node, content, tag;
	uint64_t nodes, n;
};

static struct table table_of(struct reader *r, const char *nodes, const char *n,
                             const char *content)
{
	struct table t = {
		.node = { .found = true, .size = 8 },
		.content = btf_place(r->kernel.k->btf, "io_rsrc_node", content),
		.tag = btf_place(r->kernel.k->btf, "io_rsrc_node", "tag"),
		.nodes = ring(r, nodes),
		.n = ring(r, n),
	};

	if (!t.content.size || !t.tag.size || t.n > FILES_MAX)
		r->kernel.error = r->kernel.error ? r->kernel.error : -EOPNOTSUPP;
	return t;
}

static int slot_read(struct reader *r, const struct table *t, uint64_t index, uint64_t *ret,
                     bool *ret_tagged)
{
	uint64_t node = 0, tag = 0;
	int e = kmem_read(r->kernel.k, t->nodes + index * 8, &t->node, &node);

	*ret = 0;
	if (e < 0 || !node)
		return e;
	e = kmem_read(r->kernel.k, node, &t->content, ret);
	if (e == 0)
		e = kmem_read(r->kernel.k, node, &t->tag, &tag);
	*ret_tagged |= tag != 0;
	return e;
}

static int files_read(struct reader *r, struct uring_facts *ret)
{
	struct table t = table_of(r, "file_table.data.nodes", "file_table.data.nr", "file_ptr");

	for (uint64_t i = 0; !r->kernel.error && i < t.n; i++) {
		uint64_t *slot = array_add(&ret->file);

		r->kernel.error = slot ? slot_read(r, &t, i, slot, &ret->tagged) : -ENOMEM;
		if (slot)
			*slot &= ~FILE_FLAGS;
	}
	return r->kernel.error;
}

static int buffers_read(struct reader *r, struct uring_facts *ret)
{
	struct table t = table_of(r, "buf_table.nodes", "buf_table.nr", "buf");

	for (uint64_t i = 0; !r->kernel.error && i < t.n; i++)
		r->kernel.error = slot_read(r, &t, i, &(uint64_t){ 0 }, &ret->tagged);
	return r->kernel.error;
}

static void event_read(struct reader *r, struct uring_facts *ret)
{
	uint64_t event = ring(r, "io_ev_fd");

	if (!event)
		return;
	ret->event = kmem_get(&r->kernel, "io_ev_fd", "cq_ev_fd", event);
	ret->event_async = kmem_get(&r->kernel, "io_ev_fd", "eventfd_async", event);
}

static void workers_read(struct reader *r, struct uring_facts *ret)
{
	struct place place = btf_place(r->kernel.k->btf, RING, "iowq_limits");

	for (size_t i = 0; i < 2; i++) {
		const struct place one = { .found = place.found,
			                   .at = place.at + (uint32_t)i * 4,
			                   .size = 4 };
		uint64_t value = 0;
		int e = place.size == 8 ? kmem_read(r->kernel.k, r->ring, &one, &value)
		                        : -EOPNOTSUPP;

		r->kernel.error = r->kernel.error ? r->kernel.error : e;
		ret->workers[i] = (uint32_t)value;
	}
}

/* The first CPUs of the set of that name; one that is not in the structure itself is behind a pointer. */
static uint64_t first_cpus(struct reader *r, const char *type, const char *path, uint64_t at)
{
	struct place place = btf_place(r->kernel.k->btf, type, path);
	const struct place word = { .found = true, .size = 8 };
	uint64_t set = 0;
	int e = place.found ? 0 : -EOPNOTSUPP;

	at += place.at;
	if (e == 0 && place.size == 8)
		e = kmem_read(r->kernel.k, at, &word, &at);
	if (e == 0)
		e = kmem_read(r->kernel.k, at, &word, &set);
	r->kernel.error = r->kernel.error ? r->kernel.error : e;
	return set;
}

/* May the threads that work for one of those who use it not run where that itself may? */
static void bound_read(struct reader *r, struct uring_facts *ret)
{
	const struct place list = btf_place(r->kernel.k->btf, RING, "tctx_list");
	uint64_t head = r->ring + list.at, node = kmem_get(&r->kernel, "list_head", "next", head);

	for (int i = 0; !r->kernel.error && node && node != head && i < USERS_MAX; i++) {
		uint64_t task = kmem_get(&r->kernel, "io_tctx_node", "task", node),
			 own = kmem_get(&r->kernel, "task_struct", "io_uring", task),
			 threads = own ? kmem_get(&r->kernel, "io_uring_task", "io_wq", own) : 0;

		if (threads)
			ret->bound |= first_cpus(r, "task_struct", "cpus_ptr", task) &
			              ~first_cpus(r, "io_wq", "cpu_mask", threads);
		node = kmem_get(&r->kernel, "list_head", "next", node);
	}
}

int uring_facts_read(const struct kmem *k, int fd, struct uring_facts *ret)
{
	struct reader r = { .kernel.k = k };

	*ret = (struct uring_facts){};
	r.ring = kmem_private(&r.kernel, fd);
	ret->setup = (uint32_t)ring(&r, "flags");
	ret->idle = ring(&r, "sq_thread_idle");
	ret->clock = (uint32_t)ring(&r, "clockid");
	ret->first = (uint32_t)ring(&r, "file_alloc_start");
	ret->end = (uint32_t)ring(&r, "file_alloc_end");
	ret->personalities = ring(&r, "personalities.xa_head");
	ret->buffer_groups = ring(&r, "io_bl_xa.xa_head");
	workers_read(&r, ret);
	event_read(&r, ret);
	bound_read(&r, ret);
	if (r.kernel.error == 0 && files_read(&r, ret) == 0)
		buffers_read(&r, ret);
	if (r.kernel.error)
		uring_facts_done(ret);
	return r.kernel.error;
}

void uring_facts_done(struct uring_facts *f)
{
	array_done(&f->file);
	*f = (struct uring_facts){};
}

/* Whoever has ended is kept for the next one. */
int uring_busy(const struct kmem *k, int fd, uint64_t *ret)
{
	struct kmem_reader r = { .k = k };
	const struct place next = kmem_place(&r, "io_wq_work_node", "next");
	const struct place all = kmem_place(&r, RING, "nr_req_allocated");
	const struct place first = kmem_place(&r, RING, "submit_state.free_list.next");
	uint64_t ring = r.error ? 0 : kmem_private(&r, fd), left, node;

	if (r.error)
		return r.error;
	left = kmem_get_at(&r, &all, ring);
	node = kmem_get_at(&r, &first, ring);
	for (; !r.error && node && left; left--)
		node = kmem_get_at(&r, &next, node);
	*ret = left;
	return r.error ? r.error : node ? -EAGAIN : 0;
}

int uring_facts_event(const struct kmem *k, int fd, uint64_t *ret)
{
	struct kmem_reader r = { .k = k };

	*ret = kmem_private(&r, fd);
	return r.error;
}
