/*
 * Registered rings, dump half. A thread may enter an io_uring by a number of its own
 * instead of a descriptor; whether there is one, that call alone tells, when it has
 * nothing to do. Which ring it is nobody tells: the process must have only one.
 */
#include <errno.h>
#include <linux/io_uring.h>
#include <sys/syscall.h>

#include "dump/dump.h"
#include "dump/memory_map.h"
#include "lib/log.h"
#include "proto/ring_fd.pb-c.h"

#define NUMBERS 16 /* IO_RINGFD_REG_MAX of the kernel */

static bool has_ring(struct task *t)
{
	array_each (v, &mm_of(t)->vmas)
		if (vma_class(v) == VMA_RING)
			return true;
	return false;
}

static int ring_fd_ask(struct dump *d, struct thread *th, struct script *s, struct ask *ret)
{
	for (unsigned i = 0; i < NUMBERS; i++) {
		size_t op = script_ask(s, SYS_io_uring_enter, i, 0, 0, IORING_ENTER_REGISTERED_RING,
		                       0, 0);

		if (i == 0)
			ret->first = op;
	}
	return 0;
}

/* The number of the only ring that T has open. */
static int only_ring(struct dump *d, const struct thread *th, uint32_t *ret_fd)
{
	const struct task *t = th->task->shares[TABLE_FILES];
	uint32_t file = 0;

	array_each (e, &t->fds) {
		const struct file *f = &d->files.v[e->file];

		if (!f->room || !f->room->maps_itself || f->id == file)
			continue;
		if (file)
			return fail(-ENOTSUP,
			            "%s: thread %d: uses a registered ring "
			            "(IORING_REGISTER_RING_FDS), and more than one is open: not "
			            "supported",
			            task_name(t), th->tid);
		file = f->id;
		*ret_fd = (uint32_t)e->fd;
	}
	return file ? 0
	            : fail(-ENOTSUP, "%s: thread %d: uses a ring that is not open: not supported",
	                   task_name(t), th->tid);
}

static int ring_fd_take(struct dump *d, struct thread *th, const struct script *s,
                        const struct ask *ask)
{
	Img__RingFd msg = IMG__RING_FD__INIT;
	uint32_t index[NUMBERS];
	int r;

	for (unsigned i = 0; i < NUMBERS; i++)
		if (script_result(s, ask->first + i) >= 0)
			index[msg.n_index++] = i;
	if (!msg.n_index)
		return 0;
	msg.index = index;
	r = only_ring(d, th, &msg.fd);
	return r < 0 ? r : image_put(d->out, KIND_ring_fd, (uint32_t)th->tid, &msg.base);
}

const struct dump_aspect dump_ring_fd = {
	.scope = SCOPE_THREAD,
	.concerns = has_ring,
	.ask = ring_fd_ask,
	.alike = true,
	.take = ring_fd_take,
};
