/* Rings that threads have registered for themselves: each enters its own by the number it has, and no other. */
#include <errno.h>
#include <linux/io_uring.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "zdtm.h"

static int ring;
static pthread_barrier_t barrier;

static void reg(unsigned index)
{
	struct io_uring_rsrc_update update = { .offset = index, .data = (unsigned)ring };

	check(syscall(SYS_io_uring_register, ring, IORING_REGISTER_RING_FDS, &update, 1) == 1);
}

static bool has(unsigned index)
{
	return syscall(SYS_io_uring_enter, index, 0, 0, IORING_ENTER_REGISTERED_RING, NULL, 0) == 0;
}

static void *other(void *arg)
{
	reg(9);
	pthread_barrier_wait(&barrier);
	while (!zdtm_released())
		zdtm_nap();
	for (unsigned i = 0; i < 16; i++)
		check(has(i) == (i == 9));
	return arg;
}

int main(void)
{
	struct io_uring_params p = {};
	pthread_t thread;

	ring = (int)syscall(SYS_io_uring_setup, 4, &p);
	check(ring >= 0);
	check(mmap(NULL, 4096, PROT_READ, MAP_SHARED, ring, IORING_OFF_SQ_RING) != MAP_FAILED);
	check(pthread_barrier_init(&barrier, NULL, 2) == 0);
	check(pthread_create(&thread, NULL, other, NULL) == 0);
	reg(0);
	reg(3);
	pthread_barrier_wait(&barrier);

	zdtm_park();

	for (unsigned i = 0; i < 16; i++)
		check(has(i) == (i == 0 || i == 3));
	check(pthread_join(thread, NULL) == 0);
	return zdtm_pass();
}
