/*
 * What belongs to one thread: its name, its id, thread-local storage, robust
 * list, rseq registration, the address that is cleared at its end, and system
 * call user dispatch. Many threads, some of which have ended before.
 */
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/rseq.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "zdtm.h"

#define THREADS 40

static _Thread_local uint64_t local;
static int ready;
static pthread_mutex_t robust;

struct state {
	pid_t tid;
	void *robust_list;
	size_t robust_size;
	int *tid_address;
	char name[16];
};

static void take(struct state *s)
{
	memset(s, 0, sizeof(*s));
	s->tid = (pid_t)syscall(SYS_gettid);
	check(syscall(SYS_get_robust_list, 0, &s->robust_list, &s->robust_size) == 0);
	check(prctl(PR_GET_TID_ADDRESS, &s->tid_address) == 0 || errno == EINVAL);
	check(prctl(PR_GET_NAME, s->name) == 0);
}

/* The kernel keeps the number of this CPU in the area for as long as it is registered. */
static void check_rseq(void)
{
	const volatile struct rseq *area =
		(const void *)((char *)__builtin_thread_pointer() + __rseq_offset);

	if (__rseq_size == 0)
		return;
	check((int)area->cpu_id >= 0);
	check(syscall(SYS_rseq, area, __rseq_size < 32 ? 32 : __rseq_size, 0, RSEQ_SIG) == -1);
	check(errno == EBUSY); /* registered already, here and with this signature */
}

static void *live(void *arg)
{
	struct state before, now;
	char name[16];

	snprintf(name, sizeof(name), "a %s)\n%zu", "b (", (size_t)arg);
	check(pthread_setname_np(pthread_self(), name) == 0);
	local = 1000 + (size_t)arg;
	take(&before);
	__atomic_add_fetch(&ready, 1, __ATOMIC_SEQ_CST);
	while (!zdtm_released())
		zdtm_nap();
	take(&now);
	check(!memcmp(&before, &now, sizeof(now)));
	check(!strcmp(now.name, name));
	check(local == 1000 + (size_t)arg);
	check_rseq();
	return arg;
}

static void *end(void *arg)
{
	return NULL;
}

/* Dies with the robust mutex held, after the restore. */
static void *hold(void *arg)
{
	check(pthread_mutex_lock(&robust) == 0);
	__atomic_add_fetch(&ready, 1, __ATOMIC_SEQ_CST);
	while (!zdtm_released())
		zdtm_nap();
	return NULL;
}

static void make_robust(void)
{
	pthread_mutexattr_t attr;

	pthread_mutexattr_init(&attr);
	pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
	check(pthread_mutex_init(&robust, &attr) == 0);
}

int main(void)
{
	pthread_t threads[THREADS], other;
	void *result;

	make_robust();
	for (size_t i = 0; i < THREADS; i++) {
		check(pthread_create(&other, NULL, end, NULL) == 0);
		check(pthread_create(&threads[i], NULL, live, (void *)i) == 0);
		check(pthread_join(other, NULL) == 0);
	}
	check(pthread_create(&other, NULL, hold, NULL) == 0);
	while (__atomic_load_n(&ready, __ATOMIC_SEQ_CST) < THREADS + 1)
		zdtm_nap();
	zdtm_park();
	check_rseq();
	for (size_t i = 0; i < THREADS; i++) {
		check(pthread_join(threads[i], &result) == 0);
		check(result == (void *)i);
	}
	check(pthread_join(other, NULL) == 0);
	check(pthread_mutex_lock(&robust) == EOWNERDEAD);
	return zdtm_pass();
}
