/*
 * Rings that one thread alone may use. Arguments: single, defer (IORING_SETUP_DEFER_TASKRUN), late
 * (not used yet), buffers; thread (another thread's), groups: these are refused.
 */
#include <errno.h>
#include <linux/io_uring.h>
#include <pthread.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "zdtm.h"

#define ENTRIES 4u
#define SINGLE  (1U << 12) /* IORING_SETUP_SINGLE_ISSUER */
#define DEFER   (1U << 13) /* IORING_SETUP_DEFER_TASKRUN */

static struct io_uring_params p;
static int ring;
static uint8_t *memory;
static struct io_uring_sqe *sqes;

static uint32_t *at(uint32_t offset)
{
	return (uint32_t *)(void *)(memory + offset);
}

static void make(uint32_t flags)
{
	p.flags = flags;
	ring = (int)syscall(SYS_io_uring_setup, ENTRIES, &p);
	if (ring < 0)
		_exit(77); /* the bats file has looked */
	memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQ_RING);
	sqes = mmap(NULL, ENTRIES * sizeof(*sqes), PROT_READ | PROT_WRITE, MAP_SHARED, ring,
	            IORING_OFF_SQES);
	check(memory != MAP_FAILED && sqes != MAP_FAILED);
	for (uint32_t i = 0; i < ENTRIES; i++)
		at(p.sq_off.array)[i] = i;
}

static void submit(uint64_t data)
{
	uint32_t tail = *at(p.sq_off.tail);

	sqes[tail % ENTRIES] = (struct io_uring_sqe){ .opcode = IORING_OP_NOP, .user_data = data };
	__atomic_store_n(at(p.sq_off.tail), tail + 1, __ATOMIC_RELEASE);
	check(syscall(SYS_io_uring_enter, ring, 1, 0, 0, NULL, 0) == 1);
}

static void fetch(uint64_t data)
{
	uint32_t head = *at(p.cq_off.head);
	const struct io_uring_cqe *cqe =
		(struct io_uring_cqe *)(void *)(memory + p.cq_off.cqes) + head % p.cq_entries;

	check(syscall(SYS_io_uring_enter, ring, 0, 1, IORING_ENTER_GETEVENTS, NULL, 0) == 0);
	check(cqe->user_data == data && cqe->res == 0);
	__atomic_store_n(at(p.cq_off.head), head + 1, __ATOMIC_RELEASE);
}

static int reg(unsigned opcode, const void *arg, unsigned n)
{
	return syscall(SYS_io_uring_register, ring, opcode, arg, n) < 0 ? -errno : 0;
}

/* It is not the one who may. */
static void *other(void *arg)
{
	uint32_t *made = arg;

	if (*made)
		make(*made);
	__atomic_store_n(made, 0, __ATOMIC_RELEASE);
	while (!zdtm_released())
		zdtm_nap();
	return (void *)(intptr_t)reg(IORING_REGISTER_EVENTFD, (void *)8, 1);
}

static void add_groups(void)
{
	static struct io_uring_buf_reg buffers = { .ring_entries = 8, .bgid = 7 };

	buffers.ring_addr = (uint64_t)mmap(NULL, 4096, PROT_READ | PROT_WRITE,
	                                   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	check(reg(IORING_REGISTER_PBUF_RING, &buffers, 1) == 0);
}

static void prepare(const char *kind)
{
	static char space[64];
	const struct iovec iov = { space, sizeof(space) };

	if (!strcmp(kind, "buffers"))
		check(reg(IORING_REGISTER_BUFFERS, &iov, 1) == 0);
	if (!strcmp(kind, "groups"))
		add_groups();
	if (!strcmp(kind, "late"))
		return;
	for (uint64_t i = 0; i < 13; i++) {
		submit(i);
		fetch(i);
	}
	submit(100); /* its completion waits */
}

int main(int argc, char **argv)
{
	const char *kind = argc > 1 ? argv[1] : "single";
	uint32_t flags = SINGLE | (strcmp(kind, "defer") ? 0 : DEFER);
	uint32_t others = strcmp(kind, "thread") ? 0 : flags;
	pthread_t thread;
	void *said;

	if (!others) {
		make(flags);
		prepare(kind);
	}
	check(pthread_create(&thread, NULL, other, &others) == 0);
	while (__atomic_load_n(&others, __ATOMIC_ACQUIRE))
		zdtm_nap();

	zdtm_park();

	check(pthread_join(thread, &said) == 0);
	if (!strcmp(kind, "thread"))
		return zdtm_pass();
	check((intptr_t)said == -EEXIST);
	check(reg(IORING_REGISTER_EVENTFD, (void *)8, 1) != -EEXIST);
	if (strcmp(kind, "late"))
		fetch(100);
	for (uint64_t i = 200; i < 220; i++) {
		submit(i);
		fetch(i);
	}
	check(reg(33 /* IORING_REGISTER_RESIZE_RINGS */, (void *)8, 1) ==
	      (strcmp(kind, "defer") ? -EINVAL : -EFAULT));
	if (!strcmp(kind, "buffers"))
		check(reg(IORING_UNREGISTER_BUFFERS, NULL, 0) == 0);
	return zdtm_pass();
}
