/*
 * Permission for large register state, dump half. Default permissions, which
 * crtool has as well, need no record.
 */
#include "dump/dump.h"
#include "proto/xcomp.pb-c.h"

static int xcomp_ask(struct dump *d, struct thread *th, struct script *s, struct ask *ret)
{
	ret->at = script_alloc(s, sizeof(uint64_t));
	ret->first = s->ops.n;
	arch_xcomp_ask(s, ret->at);
	return 0;
}

static bool xcomp_special(struct dump *d, struct task *t)
{
	return arch_xcomp_varies();
}

static int xcomp_take(struct dump *d, struct thread *th, const struct script *s,
                      const struct ask *ask)
{
	const uint64_t *permitted = script_at(s, ask->at);
	Img__Xcomp msg = IMG__XCOMP__INIT;

	if (!(*permitted & ~arch_xcomp_own()))
		return 0;
	msg.permitted = *permitted;
	return image_put(d->out, KIND_xcomp, (uint32_t)th->task->pid, &msg.base);
}

const struct dump_aspect dump_xcomp = {
	.scope = SCOPE_PROCESS,
	.ask = xcomp_ask,
	.alike = true,
	.special = xcomp_special,
	.late = true,
	.take = xcomp_take,
};
