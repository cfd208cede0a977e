/*
 * Provided buffers of an io_uring: they are given, and taken, by requests, which take the place of those to do
 * nothing that a ring is brought to its numbers by.
 */
#pragma once

#include <linux/io_uring.h>

#include "lib/array.h"
#include "proto/io_uring.pb-c.h"
#include "restore/restore.h"

/* Does what MSG says of them make sense? */
bool ring_groups_sound(const Img__IoUring *msg);
/* Is anything taken from a ring of buffers? */
bool ring_groups_take(const Img__IoUring *msg);

/* So many requests like this one, with so many completions each. */
struct ring_step {
	struct io_uring_sqe sqe;
	uint32_t n, each;
	const Img__IoUring__Group *refill; /* before that (ring_group_refill()); NULL: nothing */
};

struct ring_steps {
	ARRAY(struct ring_step) all;
};

/*
 * All requests that MSG comes from, in order. NOTHING: a file that is read for nothing, as requests name it, with
 * the flags HOW; SELF: the ring, to send messages to itself (uring_messages()). -ENOMEM. To be freed by
 * ring_steps_done().
 */
int ring_steps(const Img__IoUring *msg, int nothing, unsigned how, int self,
               struct ring_steps *ret);
void ring_steps_done(struct ring_steps *steps);

/* A file that is read for nothing. -errno, explained. */
int ring_nothing_open(void);

/*
 * The rings of buffers in memory of the kernel's: they have to be there before they are mapped. By the coordinator, of
 * the ring FD: -errno; or by a script.
 */
int ring_groups_register(int fd, const Img__IoUring *msg);
void ring_groups_emit_early(struct script *s, int fd, const Img__IoUring *msg);
/* The others, by the process whose memory they are in. */
void ring_groups_emit(struct script *s, int fd, const Img__IoUring *msg);

/* The rings of buffers of FD, while requests take from them. */
struct ring_hold {
	int fd;
	int mem; /* /proc/PID/mem of the process that has it, or -1: what is in that is left alone */
	const Img__IoUring *msg;
	uint8_t **saved; /* of each group, if MEM is there */
};

/*
 * All that something is taken from seem to have it: those in memory of the kernel's and, with MEM, the others. AFTER:
 * what was there is put back, or, in memory of the kernel's, written. -errno.
 */
int ring_groups_fill(struct ring_hold *h, bool after);
/* One of them, which is taken by parts, once more. */
int ring_group_refill(const struct ring_hold *h, const Img__IoUring__Group *g);
void ring_hold_done(struct ring_hold *h);
/* The same of those in memory of the process, by its script. SAVED: memory of the script, allocated at first (0). */
void ring_groups_emit_fill(struct script *s, const Img__IoUring *msg, bool after, uint64_t *saved);
