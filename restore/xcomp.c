/*
 * Permission for large register state, restore half: before alternate signal
 * stacks are set, for those must be large enough from then on, and before the
 * state itself is touched and set. A CPU without it refuses (check.c says so
 * earlier where the state is in use).
 */
#include "proto/xcomp.pb-c.h"
#include "restore/restore.h"

static int xcomp_emit(struct restore *r, struct rthread *th, const ProtobufCMessage *base,
                      struct script *s)
{
	arch_xcomp_permit(s, ((const Img__Xcomp *)base)->permitted);
	return 0;
}

const struct restore_aspect restore_xcomp = {
	.emit[PHASE_BUILD] = xcomp_emit,
};
