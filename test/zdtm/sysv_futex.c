/*
 * Futexes in memory that processes share, with somebody waiting at each: in shared anonymous
 * memory, POSIX and SysV shared memory. In each a condition, a contended mutex with priority
 * inheritance, a robust mutex whose owner will die, futex_waitv(2), FUTEX_WAIT_REQUEUE_PI; and a
 * POSIX semaphore.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sysv.h"
#include "zdtm.h"

#ifndef SYS_futex_waitv
#define SYS_futex_waitv 449
#endif

enum { COND, PI, OWNER, WAITV, REQUEUE, SEM, CHILDREN };

static struct area {
	pthread_mutex_t mutex, pi, robust;
	pthread_cond_t cond;
	sem_t sem;
	uint32_t word[2], from, to;
	int go, up, done[CHILDREN];
	pid_t pid[CHILDREN];
} * a;

static struct area *areas[3];

static void init(void)
{
	pthread_mutexattr_t shared, pi, robust;
	pthread_condattr_t cond;

	pthread_mutexattr_init(&shared);
	pthread_mutexattr_setpshared(&shared, PTHREAD_PROCESS_SHARED);
	pi = robust = shared;
	pthread_mutexattr_setprotocol(&pi, PTHREAD_PRIO_INHERIT);
	pthread_mutexattr_setrobust(&robust, PTHREAD_MUTEX_ROBUST);
	pthread_condattr_init(&cond);
	pthread_condattr_setpshared(&cond, PTHREAD_PROCESS_SHARED);
	check(pthread_mutex_init(&a->mutex, &shared) == 0 && pthread_mutex_init(&a->pi, &pi) == 0);
	check(pthread_mutex_init(&a->robust, &robust) == 0);
	check(pthread_cond_init(&a->cond, &cond) == 0 && sem_init(&a->sem, 1, 0) == 0);
}

static void up(void)
{
	__atomic_add_fetch(&a->up, 1, __ATOMIC_SEQ_CST);
}

static void wait_cond(void)
{
	check(pthread_mutex_lock(&a->mutex) == 0);
	up();
	while (!a->go)
		check(pthread_cond_wait(&a->cond, &a->mutex) == 0);
	check(pthread_mutex_unlock(&a->mutex) == 0);
}

static void wait_pi(void)
{
	up();
	check(pthread_mutex_lock(&a->pi) == 0);
	check(pthread_mutex_unlock(&a->pi) == 0);
}

/* Ends with the lock. */
static void own_robust(void)
{
	check(pthread_mutex_lock(&a->robust) == 0);
	up();
	while (!a->go)
		zdtm_nap();
}

static void wait_waitv(void)
{
	struct futex_waitv waiters[2] = {
		{ .uaddr = (uintptr_t)&a->word[0], .flags = FUTEX_32 },
		{ .uaddr = (uintptr_t)&a->word[1], .flags = FUTEX_32 },
	};
	long ret;

	up();
	ret = syscall(SYS_futex_waitv, waiters, 2, 0, NULL, CLOCK_MONOTONIC);
	check(ret == 1 || (ret < 0 && errno == ENOSYS));
}

static void wait_requeue(void)
{
	up();
	check(syscall(SYS_futex, &a->from, FUTEX_WAIT_REQUEUE_PI, 0, NULL, &a->to, 0) == 0);
	check((a->to & FUTEX_TID_MASK) == (uint32_t)getpid());
	check(syscall(SYS_futex, &a->to, FUTEX_UNLOCK_PI, 0, NULL, NULL, 0) == 0);
}

static void wait_sem(void)
{
	up();
	check(sem_wait(&a->sem) == 0);
}

static void (*const roles[CHILDREN])(void) = { wait_cond,  wait_pi,      own_robust,
	                                       wait_waitv, wait_requeue, wait_sem };

static void set_up(void)
{
	init();
	check(pthread_mutex_lock(&a->pi) == 0);
	a->to = (uint32_t)getpid();
	for (int i = 0; i < CHILDREN; i++) {
		pid_t pid = fork();

		check(pid >= 0);
		if (pid) {
			a->pid[i] = pid;
			continue;
		}
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		roles[i]();
		a->done[i] = 1;
		_exit(0);
	}
	while (__atomic_load_n(&a->up, __ATOMIC_SEQ_CST) < CHILDREN)
		zdtm_nap();
	for (int i = 0; i < 10; i++)
		zdtm_nap();
}

static void wait_for(int i)
{
	int status;

	check(waitpid(a->pid[i], &status, 0) == a->pid[i]);
	check(status == 0 && a->done[i]);
}

static void let_go(void)
{
	for (int i = 0; i < CHILDREN; i++)
		check(!a->done[i]);
	check(pthread_mutex_lock(&a->mutex) == 0);
	a->go = 1;
	check(pthread_cond_broadcast(&a->cond) == 0 && pthread_mutex_unlock(&a->mutex) == 0);
	wait_for(COND);
	check(pthread_mutex_unlock(&a->pi) == 0);
	wait_for(PI);
	check(pthread_mutex_lock(&a->robust) == EOWNERDEAD);
	check(pthread_mutex_consistent(&a->robust) == 0);
	wait_for(OWNER);
	syscall(SYS_futex, &a->word[1], FUTEX_WAKE, 1, NULL, NULL, 0);
	wait_for(WAITV);
	check(syscall(SYS_futex, &a->from, FUTEX_CMP_REQUEUE_PI, 1, 0, &a->to, 0) == 1);
	check(syscall(SYS_futex, &a->to, FUTEX_UNLOCK_PI, 0, NULL, NULL, 0) == 0);
	wait_for(REQUEUE);
	check(sem_post(&a->sem) == 0);
	wait_for(SEM);
}

static void *map_posix(const char *prefix, char *name)
{
	int fd;
	void *at;

	snprintf(name, 64, "/%s-%d", prefix, getpid());
	fd = shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0600);
	check(fd >= 0 && ftruncate(fd, 4096) == 0);
	at = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	check(close(fd) == 0);
	return at;
}

int main(int argc, char **argv)
{
	int id = sysv_note('m', shmget(IPC_PRIVATE, 4096, 0600));
	char name[64];

	areas[0] = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	check(argc == 2); /* what the name begins with */
	areas[1] = map_posix(argv[1], name);
	areas[2] = shmat(id, NULL, 0);
	for (int i = 0; i < 3; i++) {
		a = areas[i];
		set_up();
	}

	zdtm_park();

	for (int i = 0; i < 3; i++) {
		a = areas[i];
		let_go();
	}
	check(shm_unlink(name) == 0 && shmctl(id, IPC_RMID, NULL) == 0);
	return zdtm_pass();
}
