/*
 * Resource limits, dump half: from /proc/PID/limits, which everybody may read;
 * prlimit64(2) on a process of other users needs CAP_SYS_RESOURCE.
 */
#include "dump/dump.h"
#include "dump/together.h"
#include "lib/cleanup.h"
#include "lib/fd.h"
#include "lib/log.h"
#include "lib/proc_facts.h"
#include "lib/procstate.h"
#include "proto/limit.pb-c.h"

static int read_limits(const struct task *t, uint64_t soft[LIMITS], uint64_t hard[LIMITS])
{
	auto_free char *text = NULL;
	struct limit_text limits[LIMITS];
	ssize_t r = file_read_record(t->proc, "limits", &text);

	if (r >= 0)
		r = limits_parse(text, limits);
	if (r < 0)
		return fail((int)r, "%s: read /proc/%d/limits", task_name(t), t->pid);
	for (int i = 0; i < LIMITS; i++) {
		soft[i] = limits[i].soft;
		hard[i] = limits[i].hard;
	}
	return 0;
}

static int limit_take(struct dump *d, struct thread *th, const struct script *s,
                      const struct ask *ask)
{
	const struct task *t = th->task;
	const uint64_t *told = together_limits(d, t);
	uint64_t soft[LIMITS], hard[LIMITS];
	Img__Limit msg = IMG__LIMIT__INIT;
	int r = told ? 0 : read_limits(t, soft, hard);

	_Static_assert((int)LIMITS == (int)PROC_LIMITS_N, "the same limits");
	for (int i = 0; told && i < LIMITS; i++) {
		soft[i] = told[2 * i];
		hard[i] = told[2 * i + 1];
	}
	if (r < 0)
		return r;
	msg.n_soft = msg.n_hard = LIMITS;
	msg.soft = soft;
	msg.hard = hard;
	return image_put(d->out, KIND_limit, (uint32_t)t->pid, &msg.base);
}

const struct dump_aspect dump_limit = {
	.scope = SCOPE_PROCESS,
	.take = limit_take,
};
