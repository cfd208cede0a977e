/*
 * Resource limits, dump half: from /proc/PID/limits, which everybody may read;
 * prlimit64(2) on a process of other users needs CAP_SYS_RESOURCE.
 */
#include "dump/dump.h"
#include "dump/together.h"
#include "lib/cleanup.h"
#include "lib/fd.h"
#include "lib/log.h"
#include "lib/procstate.h"
#include "proto/limit.pb-c.h"

static int limit_take(struct dump *d, struct thread *th, const struct script *s,
                      const struct ask *ask)
{
	const struct task *t = th->task;
	auto_free char *text = NULL;
	struct limit_text limits[LIMITS];
	uint64_t soft[LIMITS], hard[LIMITS];
	Img__Limit msg = IMG__LIMIT__INIT;
	ssize_t r = together_read(d, t, TOLD_LIMITS, &text);

	if (r >= 0)
		r = limits_parse(text, limits);
	if (r < 0)
		return fail((int)r, "%s: read /proc/%d/limits", task_name(t), t->pid);
	for (int i = 0; i < LIMITS; i++) {
		soft[i] = limits[i].soft;
		hard[i] = limits[i].hard;
	}
	msg.n_soft = msg.n_hard = LIMITS;
	msg.soft = soft;
	msg.hard = hard;
	return image_put(d->out, KIND_limit, (uint32_t)t->pid, &msg.base);
}

const struct dump_aspect dump_limit = {
	.scope = SCOPE_PROCESS,
	.take = limit_take,
};
