/*
 * Resource limits, restore half. They are set last, since they bind the
 * restore itself, and only where they differ from those of crtool: a hard limit
 * may be lowered by anybody, raised with CAP_SYS_RESOURCE alone.
 */
#include <errno.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "lib/log.h"
#include "lib/procstate.h"
#include "proto/limit.pb-c.h"
#include "restore/restore.h"

static void own_limit(unsigned resource, struct rlimit *ret)
{
	if (getrlimit((int)resource, ret) < 0)
		*ret = (struct rlimit){ RLIM_INFINITY, RLIM_INFINITY };
}

/* Up and down again: the way back is always allowed. Capabilities may count elsewhere only. */
static bool may_raise(unsigned resource, const struct rlimit *own, uint64_t hard)
{
	const struct rlimit want = { own->rlim_cur, hard };

	if (setrlimit((int)resource, &want) < 0)
		return false;
	setrlimit((int)resource, own);
	return true;
}

static const char *number(uint64_t limit, char buf[24])
{
	if (limit == RLIM_INFINITY)
		return "unlimited";
	snprintf(buf, 24, "%llu", (unsigned long long)limit);
	return buf;
}

static int limit_check(struct restore *r, uint32_t owner, const ProtobufCMessage *base)
{
	const Img__Limit *msg = (const Img__Limit *)base;

	if (msg->n_soft != LIMITS || msg->n_hard != LIMITS)
		return fail(-EBADMSG, "task %u: %zu limits", owner, msg->n_soft);
	for (unsigned i = 0; i < LIMITS; i++) {
		struct rlimit own;
		char want[24], have[24];

		if (msg->soft[i] > msg->hard[i])
			return fail(-EBADMSG, "task %u: limit %u is above its hard limit", owner,
			            i);
		own_limit(i, &own);
		if (msg->hard[i] > own.rlim_max && !may_raise(i, &own, msg->hard[i]))
			return fail(-EPERM,
			            "task %u: \"%s\": its hard limit is %s, that of crtool %s; "
			            "raise that one first or give crtool CAP_SYS_RESOURCE",
			            owner, limit_name(i), number(msg->hard[i], want),
			            number(own.rlim_max, have));
	}
	return 0;
}

/* What all tasks inherit: since the pool of descriptors is there, that does not change. */
static const struct rlimit *inherited_limits(void)
{
	static struct rlimit limits[LIMITS];
	static bool known;

	for (unsigned i = 0; i < LIMITS && !known; i++)
		own_limit(i, &limits[i]);
	known = true;
	return limits;
}

static int limit_emit(struct restore *r, struct rthread *th, const ProtobufCMessage *base,
                      struct script *s)
{
	const Img__Limit *msg = (const Img__Limit *)base;
	const struct rlimit *own = inherited_limits();

	for (unsigned i = 0; i < LIMITS; i++) {
		const struct rlimit want = { msg->soft[i], msg->hard[i] };

		if (want.rlim_cur != own[i].rlim_cur || want.rlim_max != own[i].rlim_max)
			script_call(s, SYS_prlimit64, 0, i, script_put(s, &want, sizeof(want)), 0);
	}
	return 0;
}

const struct restore_aspect restore_limit = {
	.check = limit_check,
	.emit[PHASE_LAST] = limit_emit,
};
