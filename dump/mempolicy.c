/*
 * NUMA policies of mappings, dump half: get_mempolicy(2) by address, in the process itself. That
 * of a mapping that has none is MPOL_DEFAULT, whatever its thread has (mm/mempolicy.c,
 * do_get_mempolicy()).
 *
 * numa_maps has them as well, but it walks all pages: it is read before the freeze, where there are
 * many mappings, to ask only for those that had one then.
 */
#include <errno.h>
#include <linux/mempolicy.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "dump/alike_tasks.h"
#include "dump/dump.h"
#include "lib/cleanup.h"
#include "lib/fd.h"
#include "lib/log.h"
#include "proto/mempolicy.pb-c.h"

#define FEW_NODES  64
#define MANY_NODES 1024 /* MAX_NUMNODES is not more */

#define FEW   512  /* mappings: all of them are asked for */
#define LIMIT 8192 /* what a script can ask */

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

/* The line of a mapping: its start, and its policy. */
static int note_line(struct task *t, const char *line)
{
	char *end;
	uint64_t start = strtoull(line, &end, 16), *slot;

	if (end == line || !strncmp(end, " default", 8))
		return 0;
	slot = array_add(&t->bound);
	if (!slot)
		return -ENOMEM;
	*slot = start;
	return 0;
}

static int mempolicy_prepare(struct dump *d, struct task *t)
{
	auto_free char *text = NULL;
	int r = 0;

	if (t->bound_told && t->bound.n <= FEW) {
		t->bound_known = true;
		return 0;
	}
	array_done(&t->bound);
	t->bound_known = t->vmas.n > FEW;
	if ((t->vmas.n <= FEW && !alike_tasks_wanted(d)) ||
	    file_read(t->proc, "numa_maps", &text) < 0)
		return 0;
	t->bound_known = true;
	for (const char *line = text; r == 0 && line && *line; line += line != NULL) {
		r = note_line(t, line);
		line = strchr(line, '\n');
	}
	return r;
}

/* V is asked for; *AT is a place in t->bound, which is by address. */
static bool is_asked(const struct task *t, const struct vma *v, size_t *at)
{
	if (!t->bound_known)
		return true;
	while (*at < t->bound.n && t->bound.v[*at] < v->start)
		++*at;
	return *at < t->bound.n && t->bound.v[*at] < v->end;
}

static size_t count_asked(const struct task *t)
{
	size_t n = 0, at = 0;

	array_each (v, &t->vmas)
		n += is_asked(t, v, &at);
	return n;
}

/* mbind(2) changes mappings, as far as the kernel counts. */
static bool mempolicy_special(struct dump *d, struct task *t)
{
	return !t->bound_known || t->bound.n || !t->kept;
}

static int mempolicy_ask(struct dump *d, struct thread *th, struct script *s, struct ask *ret)
{
	struct task *t = th->task;
	size_t mask = mask_bytes(), size = answer_size(mask), count, n = 0, at = 0;
	/* One that was forked since, or has mapped a lot. */
	int r = t->vmas.n > FEW && !t->bound_known ? mempolicy_prepare(d, t) : 0;

	if (t->vmas.n <= FEW && !t->kept)
		t->bound_known = false;
	if (r < 0 || !mask)
		return r;
	count = count_asked(t);
	if (count > LIMIT)
		return fail(-ENOTSUP,
		            "%s: %zu mappings have NUMA policies of their own (mbind), more than "
		            "%d: not supported by this version",
		            task_name(t), count, LIMIT);
	ret->at = script_alloc(s, count * size + 1);
	ret->first = s->ops.n;
	array_each (v, &t->vmas) {
		uint64_t answer = ret->at + n * size;

		if (!is_asked(t, v, &at))
			continue;
		script_ask(s, SYS_get_mempolicy, answer, answer + offsetof(struct answer, nodes),
		           mask * 8 + 1, v->start, MPOL_F_ADDR);
		n++;
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
	size_t mask = ask->at ? mask_bytes() : 0, size = answer_size(mask), count = count_asked(t);
	size_t i = 0, at = 0;
	auto_free Img__Mempolicy__Range *ranges = calloc(count + 1, sizeof(*ranges));
	auto_free Img__Mempolicy__Range **list = calloc(count + 1, sizeof(*list));
	Img__Mempolicy msg = IMG__MEMPOLICY__INIT;

	if (!ranges || !list)
		return -ENOMEM;
	msg.ranges = list;
	array_each (v, &t->vmas) {
		Img__Mempolicy__Range *range = &ranges[msg.n_ranges];
		struct answer *a;

		if (!mask || !is_asked(t, v, &at))
			continue;
		a = script_at(s, ask->at + i * size);
		if (script_result(s, ask->first + i++) < 0 || a->mode == MPOL_DEFAULT)
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
	.prepare = mempolicy_prepare,
	.ask = mempolicy_ask,
	.alike = true,
	.special = mempolicy_special,
	.late = true,
	.take = mempolicy_take,
};
