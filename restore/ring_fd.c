/* Registered rings, restore half: the thread itself registers its descriptor under the same numbers. */
#include <errno.h>
#include <linux/io_uring.h>
#include <sys/syscall.h>

#include "lib/log.h"
#include "proto/ring_fd.pb-c.h"
#include "restore/restore.h"

#define NUMBERS 16u

static int ring_fd_check(struct restore *r, uint32_t owner, const ProtobufCMessage *base)
{
	const Img__RingFd *msg = (const Img__RingFd *)base;

	for (size_t i = 0; i < msg->n_index; i++)
		if (msg->index[i] >= NUMBERS || (i && msg->index[i] <= msg->index[i - 1]))
			return fail(-EBADMSG, "thread %u: registered rings make no sense", owner);
	return msg->n_index ? 0 : fail(-EBADMSG, "thread %u: no registered ring", owner);
}

static int ring_fd_emit(struct restore *r, struct rthread *th, const ProtobufCMessage *base,
                        struct script *s)
{
	const Img__RingFd *msg = (const Img__RingFd *)base;

	for (size_t i = 0; i < msg->n_index; i++) {
		const struct io_uring_rsrc_update update = { .offset = msg->index[i],
			                                     .data = msg->fd };

		script_want(s, 1, SYS_io_uring_register, msg->fd, IORING_REGISTER_RING_FDS,
		            script_put(s, &update, sizeof(update)), 1);
	}
	return 0;
}

const struct restore_aspect restore_ring_fd = {
	.check = ring_fd_check,
	.emit[PHASE_THREAD] = ring_fd_emit,
};
