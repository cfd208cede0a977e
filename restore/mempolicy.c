/* NUMA policies of mappings, restore half: when all memory is there, wherever that is. */
#include <errno.h>
#include <inttypes.h>
#include <linux/mempolicy.h>
#include <string.h>
#include <sys/syscall.h>

#include "lib/log.h"
#include "proto/mempolicy.pb-c.h"
#include "restore/restore.h"

#define PAGE      UINT64_C(4096)
#define MAX_NODES 1024 /* MAX_NUMNODES is not more */

/* The kernel judges modes and nodes, of which it may know others than this one here did. */
static int mempolicy_check(struct restore *r, uint32_t owner, const ProtobufCMessage *base)
{
	const Img__Mempolicy *msg = (const Img__Mempolicy *)base;
	uint64_t end = 0;

	for (size_t i = 0; i < msg->n_ranges; i++) {
		const Img__Mempolicy__Range *v = msg->ranges[i];

		if (v->start < end || v->start % PAGE || v->size % PAGE || !v->size ||
		    v->size > UINT64_MAX - v->start || v->nodes.len > MAX_NODES / 8)
			return fail(-EBADMSG, "task %u: NUMA policy of the mapping at %#" PRIx64,
			            owner, v->start);
		end = v->start + v->size;
	}
	return 0;
}

static int mempolicy_emit(struct restore *r, struct rthread *th, const ProtobufCMessage *base,
                          struct script *s)
{
	const Img__Mempolicy *msg = (const Img__Mempolicy *)base;

	for (size_t i = 0; i < msg->n_ranges; i++) {
		const Img__Mempolicy__Range *v = msg->ranges[i];
		uint8_t nodes[MAX_NODES / 8] = {};

		memcpy(nodes, v->nodes.data, v->nodes.len);
		script_call(s, SYS_mbind, v->start, v->size, v->mode,
		            script_put(s, nodes, sizeof(nodes)), MAX_NODES + 1, 0);
	}
	return 0;
}

const struct restore_aspect restore_mempolicy = {
	.check = mempolicy_check,
	.emit[PHASE_LAST] = mempolicy_emit,
};
