/*
 * Provided buffers, restore half. Where the next buffer of a ring is taken the kernel alone counts, from 0 on: as
 * many requests as were taken read a file with nothing in it, each of which takes a buffer and leaves it as
 * it is; of a ring that polls for completions, too, where they fail, as that file cannot be polled. The ring
 * must not be empty then, so its tail is set to where the last of them ends, for the moment.
 */
#include "restore/ring_groups.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/fd.h"
#include "lib/log.h"
#include "lib/uring.h"
#include "lib/uring_groups.h"

#define ENTRIES_MAX 32768u
#define NUMBERS     65536u /* of groups, of buffers, of those that were taken */
#define TAIL        8u /* the 64 bits at the beginning of a ring, of which the last 16 are its tail */

struct registration {
	uint64_t ring_addr;
	uint32_t ring_entries;
	uint16_t bgid, flags;
	uint64_t resv[3];
};

static bool in_kernel(const Img__IoUring__Group *g)
{
	return g->entries && !g->address;
}

static bool in_process(const Img__IoUring__Group *g)
{
	return g->entries && g->address;
}

static size_t size_of(const Img__IoUring__Group *g)
{
	return g->entries * sizeof(struct io_uring_buf);
}

/* ---- check ---- */

static bool ring_sound(const Img__IoUring__Group *g)
{
	return g->entries <= ENTRIES_MAX && !(g->entries & (g->entries - 1)) && g->head < NUMBERS &&
	       !(g->address & 4095) && g->ring.len == (in_kernel(g) ? size_of(g) : 0) && !g->n_addr;
}

static bool list_sound(const Img__IoUring__Group *g)
{
	for (size_t i = 0; i < g->n_addr; i++)
		if (!g->count[i] || g->first[i] >= NUMBERS || g->count[i] > NUMBERS - g->first[i])
			return false;
	return !g->head && !g->parts && !g->address && !g->ring.len && g->n_addr;
}

static bool group_sound(const Img__IoUring__Group *g)
{
	return g->id < NUMBERS && g->n_length == g->n_addr && g->n_first == g->n_addr &&
	       g->n_count == g->n_addr && (g->entries ? ring_sound(g) : list_sound(g));
}

bool ring_groups_sound(const Img__IoUring *msg)
{
	for (size_t i = 0; i < msg->n_group; i++)
		if (!group_sound(msg->group[i]) ||
		    (msg->group[i]->head && msg->group[i]->parts &&
		     msg->setup & URING_SINGLE_ISSUER) ||
		    (i && msg->group[i]->id <= msg->group[i - 1]->id))
			return false;
	return uring_groups_requests(msg) <= msg->done &&
	       (!(msg->n_group && msg->setup & URING_SINGLE_ISSUER) ||
	        uring_groups_written(msg) <= URING_STEPS_MAX) &&
	       !(ring_groups_take(msg) && msg->setup & IORING_SETUP_SQPOLL && msg->files);
}

bool ring_groups_take(const Img__IoUring *msg)
{
	for (size_t i = 0; i < msg->n_group; i++)
		if (msg->group[i]->head)
			return true;
	return false;
}

/* ---- requests ---- */

static int add_step(struct ring_steps *steps, struct io_uring_sqe sqe, uint32_t n, uint32_t each)
{
	struct ring_step *step = n ? array_add(&steps->all) : NULL;

	if (step)
		*step = (struct ring_step){ sqe, n, each, NULL };
	return n && !step ? -ENOMEM : 0;
}

static int add_list(struct ring_steps *steps, const Img__IoUring__Group *g)
{
	int e = 0;

	for (size_t i = 0; e == 0 && i < g->n_addr; i++)
		e = add_step(steps,
		             (struct io_uring_sqe){ .opcode = IORING_OP_PROVIDE_BUFFERS,
		                                    .fd = (int)g->count[i],
		                                    .addr = g->addr[i],
		                                    .len = g->length[i],
		                                    .off = g->first[i],
		                                    .buf_group = (uint16_t)g->id },
		             1, 1);
	return e;
}

/* IORING_OP_NOP is 0, as all of a request that does nothing. */
static int add_others(struct ring_steps *steps, const Img__IoUring *msg, uint32_t n, int self)
{
	const struct io_uring_sqe skip = { .flags = IOSQE_CQE_SKIP_SUCCESS };
	const struct io_uring_sqe message = { .opcode = IORING_OP_MSG_RING, .fd = self };
	uint32_t fewer = msg->surplus < 0 ? (uint32_t)-msg->surplus : 0;
	uint32_t messages = uring_messages(msg);
	int e = add_step(steps, (struct io_uring_sqe){}, n - fewer - messages, 1);

	if (e == 0)
		e = add_step(steps, skip, fewer, 0);
	return e == 0 ? add_step(steps, message, messages, 2) : e;
}

/* As many as were taken; those that are taken by parts are gone then, and are there again once all were. */
static int add_takes(struct ring_steps *steps, const Img__IoUring__Group *g, int nothing,
                     unsigned how)
{
	const struct io_uring_sqe take = { .opcode = IORING_OP_READ,
		                           .flags = (uint8_t)(IOSQE_BUFFER_SELECT | how),
		                           .fd = nothing,
		                           .len = g->parts ? 0 : 1,
		                           .buf_group = (uint16_t)g->id };
	uint32_t lap = g->parts ? g->entries : g->head, n;
	int e = 0;

	for (uint32_t left = g->head; e == 0 && left; left -= n) {
		n = left < lap ? left : lap;
		e = add_step(steps, take, n, 1);
		if (e == 0 && g->parts)
			steps->all.v[steps->all.n - 1].refill = g;
	}
	return e;
}

int ring_steps(const Img__IoUring *msg, int nothing, unsigned how, int self, struct ring_steps *ret)
{
	uint32_t left = msg->done;
	int e = 0;

	for (size_t i = 0; e == 0 && i < msg->n_group; i++) {
		const Img__IoUring__Group *g = msg->group[i];

		e = add_list(ret, g);
		if (e == 0)
			e = add_takes(ret, g, nothing, how);
		left -= g->head + (uint32_t)g->n_addr;
	}
	return e == 0 ? add_others(ret, msg, left, self) : e;
}

void ring_steps_done(struct ring_steps *steps)
{
	array_done(&steps->all);
}

int ring_nothing_open(void)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	return fd < 0 ? fail(-errno, "/dev/null") : fd;
}

/* ---- registration ---- */

static struct registration registration_of(const Img__IoUring__Group *g)
{
	return (struct registration){ .ring_addr = g->address,
		                      .ring_entries = g->entries,
		                      .bgid = (uint16_t)g->id,
		                      .flags = (uint16_t)((g->address ? 0 : URING_RING_MMAP) |
		                                          (g->parts ? URING_RING_INC : 0)) };
}

static void register_emit(struct script *s, int fd, const Img__IoUring__Group *g)
{
	const struct registration reg = registration_of(g);

	script_call(s, SYS_io_uring_register, fd, IORING_REGISTER_PBUF_RING,
	            script_put(s, &reg, sizeof(reg)), 1);
}

int ring_groups_register(int fd, const Img__IoUring *msg)
{
	for (size_t i = 0; i < msg->n_group; i++) {
		struct registration reg = registration_of(msg->group[i]);

		if (in_kernel(msg->group[i]) &&
		    syscall(SYS_io_uring_register, fd, IORING_REGISTER_PBUF_RING, &reg, 1) < 0)
			return -errno;
	}
	return 0;
}

void ring_groups_emit_early(struct script *s, int fd, const Img__IoUring *msg)
{
	for (size_t i = 0; i < msg->n_group; i++)
		if (in_kernel(msg->group[i]))
			register_emit(s, fd, msg->group[i]);
}

void ring_groups_emit(struct script *s, int fd, const Img__IoUring *msg)
{
	for (size_t i = 0; i < msg->n_group; i++)
		if (in_process(msg->group[i]))
			register_emit(s, fd, msg->group[i]);
}

/* ---- while buffers are taken ---- */

static uint64_t full_word(const Img__IoUring__Group *g)
{
	return (uint64_t)g->head << 48;
}

/* What of a ring is written meanwhile: its tail, or, where what is taken by parts is gone then, all of it. */
static size_t from_of(const Img__IoUring__Group *g)
{
	return g->parts ? 0 : TAIL;
}

static size_t span_of(const Img__IoUring__Group *g)
{
	return g->parts ? size_of(g) : sizeof(uint64_t);
}

static int write_kernel(int fd, const Img__IoUring__Group *g, size_t from, const void *what,
                        size_t n)
{
	uint8_t *at = mmap(NULL, size_of(g), PROT_READ | PROT_WRITE, MAP_SHARED, fd,
	                   (off_t)uring_group_offset(g->id));

	if (at == MAP_FAILED)
		return -errno;
	memcpy(at + from, what, n);
	munmap(at, size_of(g));
	return 0;
}

static int write_held(const struct ring_hold *h, const Img__IoUring__Group *g, const void *what)
{
	return in_kernel(g)
	               ? write_kernel(h->fd, g, from_of(g), what, span_of(g))
	               : pwrite_full(h->mem, what, span_of(g), (off_t)(g->address + from_of(g)));
}

int ring_group_refill(const struct ring_hold *h, const Img__IoUring__Group *g)
{
	auto_free uint8_t *what = calloc(1, span_of(g));
	const uint64_t word = full_word(g);
	struct io_uring_buf *buf = (struct io_uring_buf *)(void *)what;

	if (!what)
		return -ENOMEM;
	memcpy(what + TAIL - from_of(g), &word, sizeof(word));
	for (uint32_t i = 0; g->parts && i < g->entries; i++)
		buf[i].len = 1;
	return write_held(h, g, what);
}

static int hold(struct ring_hold *h, size_t i)
{
	const Img__IoUring__Group *g = h->msg->group[i];
	int e = 0;

	if (!in_kernel(g)) {
		h->saved[i] = malloc(span_of(g));
		e = h->saved[i] ? pread_full(h->mem, h->saved[i], span_of(g),
		                             (off_t)(g->address + from_of(g)))
		                : -ENOMEM;
	}
	return e < 0 ? e : ring_group_refill(h, g);
}

static int let_go(const struct ring_hold *h, size_t i)
{
	const Img__IoUring__Group *g = h->msg->group[i];

	return in_kernel(g) ? write_kernel(h->fd, g, 0, g->ring.data, g->ring.len)
	                    : write_held(h, g, h->saved[i]);
}

int ring_groups_fill(struct ring_hold *h, bool after)
{
	int e = 0;

	for (size_t i = 0; e == 0 && i < h->msg->n_group; i++) {
		const Img__IoUring__Group *g = h->msg->group[i];

		if (in_kernel(g) || (in_process(g) && g->head && h->mem >= 0))
			e = after ? let_go(h, i) : hold(h, i);
	}
	return e;
}

void ring_hold_done(struct ring_hold *h)
{
	for (size_t i = 0; h->saved && i < h->msg->n_group; i++)
		free(h->saved[i]);
	free(h->saved);
}

static void copy_emit(struct script *s, uint64_t from, uint64_t to)
{
	script_op(s, OP_COPY, EXPECT_ANY, 0, 0, (const uint64_t[6]){ from, to });
}

void ring_groups_emit_fill(struct script *s, const Img__IoUring *msg, bool after, uint64_t *saved)
{
	if (!*saved)
		*saved = script_alloc(s, msg->n_group * sizeof(uint64_t) + 1);
	for (size_t i = 0; i < msg->n_group; i++) {
		const Img__IoUring__Group *g = msg->group[i];
		const uint64_t word = full_word(g), at = g->address + TAIL;

		if (!in_process(g) || !g->head)
			continue;
		if (after) {
			copy_emit(s, *saved + 8 * i, at);
		} else {
			copy_emit(s, at, *saved + 8 * i);
			copy_emit(s, script_put(s, &word, sizeof(word)), at);
		}
	}
}
