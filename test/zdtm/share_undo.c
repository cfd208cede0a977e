/*
 * Who shares a list of semaphore operations (CLONE_SYSVSEM): what they have to undo
 * is undone when the last of them ends, not before and not twice.
 *
 *	share_undo list      a process and its child share one; the root looks on
 *	share_undo empty     the same, and there is no semaphore yet
 *	share_undo alone     (refused) a thread that has one of its own
 */
#include <linux/kcmp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sem.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "zdtm.h"

static struct shared {
	int set;
	pid_t first, second;
	bool both, use, end_second, end_first;
} * shared;

static void operate(int op)
{
	struct sembuf sop = { 0, (short)op, SEM_UNDO };

	check(semop(shared->set, &sop, 1) == 0);
}

static void await(const bool *flag)
{
	while (!__atomic_load_n(flag, __ATOMIC_SEQ_CST))
		zdtm_nap();
}

static void say(bool *flag)
{
	__atomic_store_n(flag, true, __ATOMIC_SEQ_CST);
}

static pid_t clone_plain(unsigned long flags)
{
	return (pid_t)syscall(SYS_clone, flags | SIGCHLD, 0, 0, 0, 0);
}

static void second(bool list)
{
	shared->second = getpid();
	if (list)
		operate(-2);
	say(&shared->both);
	await(&shared->use);
	if (!list)
		operate(-2);
	await(&shared->end_second);
	_exit(0);
}

static void first(bool list)
{
	pid_t pid;

	if (list)
		operate(-1);
	pid = clone_plain(CLONE_SYSVSEM);
	if (pid == 0)
		second(list);
	await(&shared->use);
	if (!list)
		operate(-1);
	check(waitpid(pid, NULL, 0) == pid);
	await(&shared->end_first);
	_exit(0);
}

static void make_set(void)
{
	shared->set = semget(IPC_PRIVATE, 1, 0600);
	check(shared->set >= 0 && semctl(shared->set, 0, SETVAL, 5) == 0);
}

static bool becomes(int value)
{
	for (int i = 0; i < 5000 && semctl(shared->set, 0, GETVAL) != value; i++)
		zdtm_nap();
	return semctl(shared->set, 0, GETVAL) == value;
}

static bool share_list(void)
{
	return syscall(SYS_kcmp, shared->first, shared->second, KCMP_SYSVSEM, 0, 0) == 0;
}

static void *alone(void *arg)
{
	check(unshare(CLONE_SYSVSEM) == 0);
	operate(-1);
	say(&shared->both);
	await(&shared->end_first);
	return NULL;
}

static int with_thread(void)
{
	pthread_t th;

	make_set();
	check(pthread_create(&th, NULL, alone, NULL) == 0);
	await(&shared->both);
	zdtm_park();
	say(&shared->end_first);
	pthread_join(th, NULL);
	semctl(shared->set, 0, IPC_RMID);
	return zdtm_pass();
}

int main(int argc, char **argv)
{
	bool list = argc > 1 && !strcmp(argv[1], "list");
	pid_t pid;

	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
	              0);
	check(shared != MAP_FAILED);
	if (argc > 1 && !strcmp(argv[1], "alone"))
		return with_thread();
	if (list)
		make_set();
	pid = fork();
	check(pid >= 0);
	if (pid == 0)
		first(list);
	shared->first = pid;
	await(&shared->both);
	check(share_list());

	zdtm_park();

	check(share_list());
	if (!list)
		make_set();
	say(&shared->use);
	check(becomes(2));
	say(&shared->end_second);
	while (kill(shared->second, 0) == 0)
		zdtm_nap();
	check(semctl(shared->set, 0, GETVAL) == 2);
	say(&shared->end_first);
	check(waitpid(shared->first, NULL, 0) == shared->first);
	check(becomes(5));
	check(semctl(shared->set, 0, IPC_RMID) == 0);
	return zdtm_pass();
}
