/*
 * NUMA policies of mappings, dump half: get_mempolicy(2) by address, in the process itself. That
 * of a mapping that has none is MPOL_DEFAULT, whatever its thread has (mm/mempolicy.c,
 * do_get_mempolicy()). numa_maps has them as well, but it walks all pages.
 */
#include <errno.h>
#include <linux/mempolicy.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "dump/dump.h"
#include "lib/cleanup.h"
#include "proto/mempolicy.pb-c.h"

#define FEW_NODES  64
#define MANY_NODES 1024 /* MAX_NUMNODES is not more */

struct answer {
	int mode;
	uint8_t nodes[]; /* of mask_bytes() */
};

/* The kernel wants room for all nodes that there could be. 0: it knows none (CONFIG_NUMA). */
static size_t mask_bytes(void)
{
	uint8_t nodes[MANY_NODES / 8];
	int mode;

	if (syscall(SYS_get_mempolicy, &mode, nodes, FEW_NODES + 1, 0, 0) == 0)
		return FEW_NODES / 8;
	return errno == ENOSYS ? 0 : sizeof(nodes);
}

static size_t answer_size(size_t mask)
{
	return sizeof(struct answer) + mask + sizeof(int); /* aligned for the next mode */
}

static int mempolicy_ask(struct dump *d, struct thread *th, struct script *s, struct ask *ret)
{
	struct task *t = th->task;
	size_t mask = mask_bytes(), size = answer_size(mask), n = 0;

	if (!mask)
		return 0;
	ret->at = script_alloc(s, t->vmas.n * size);
	ret->first = s->ops.n;
	array_each (v, &t->vmas) {
		uint64_t at = ret->at + n++ * size;

		script_ask(s, SYS_get_mempolicy, at, at + offsetof(struct answer, nodes),
		           mask * 8 + 1, v->start, MPOL_F_ADDR);
	}
	return 0;
}

static size_t bytes_used(const uint8_t *nodes, size_t n)
{
	while (n && !nodes[n - 1])
		n--;
	return n;
}

static int mempolicy_take(struct dump *d, struct thread *th, const struct script *s,
                          const struct ask *ask)
{
	const struct task *t = th->task;
	size_t mask = ask->at ? mask_bytes() : 0, size = answer_size(mask), i = 0;
	auto_free Img__Mempolicy__Range *ranges = calloc(t->vmas.n + 1, sizeof(*ranges));
	auto_free Img__Mempolicy__Range **list = calloc(t->vmas.n + 1, sizeof(*list));
	Img__Mempolicy msg = IMG__MEMPOLICY__INIT;

	if (!ranges || !list)
		return -ENOMEM;
	msg.ranges = list;
	array_each (v, &t->vmas) {
		struct answer *a = mask ? script_at(s, ask->at + i * size) : NULL;
		Img__Mempolicy__Range *range = &ranges[msg.n_ranges];

		if (!a || script_result(s, ask->first + i++) < 0 || a->mode == MPOL_DEFAULT)
			continue;
		img__mempolicy__range__init(range);
		range->start = v->start;
		range->size = v->end - v->start;
		range->mode = (uint32_t)a->mode;
		range->nodes = (ProtobufCBinaryData){ bytes_used(a->nodes, mask), a->nodes };
		list[msg.n_ranges++] = range;
	}
	return msg.n_ranges ? image_put(d->out, KIND_mempolicy, (uint32_t)t->pid, &msg.base) : 0;
}

const struct dump_aspect dump_mempolicy = {
	.scope = SCOPE_PROCESS,
	.table = TABLE_VM,
	.ask = mempolicy_ask,
	.late = true,
	.take = mempolicy_take,
};
