/*
 * SysV semaphores: values, who was last, id and key, what is undone. With an argument:
 * "fresh": nobody has operated on it, "undo": two processes and a thread hold some with
 * SEM_UNDO, "blocked": two processes wait, "kept": others use it, "outsider ID" is one.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/sem.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sysv.h"
#include "zdtm.h"

#define KEY  (0x63720000 + getpid() % 65536)
#define SEMS 60

union semun {
	int val;
	struct semid_ds *buf;
};

static int set;

static void make(void)
{
	set = sysv_note('s', semget(KEY, SEMS, IPC_CREAT | IPC_EXCL | 0600));
}

static int op(int num, int by, int flags)
{
	struct sembuf sop = { (unsigned short)num, (short)by, (short)flags };

	return semop(set, &sop, 1);
}

static int value(int num)
{
	return semctl(set, num, GETVAL);
}

static void set_value(int num, int to)
{
	check(semctl(set, num, SETVAL, (union semun){ .val = to }) == 0);
}

static int done(void)
{
	check(semctl(set, 0, IPC_RMID) == 0);
	return zdtm_pass();
}

static pid_t child(void (*run)(void))
{
	pid_t pid = fork();

	check(pid >= 0);
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	run();
	_exit(0);
}

static void reap(pid_t pid)
{
	int status;

	check(waitpid(pid, &status, 0) == pid && status == 0);
}

static void up_five(void)
{
	check(op(5, 9, 0) == 0);
}

static int plain(void)
{
	struct semid_ds before, after;
	pid_t gone;

	make();
	set_value(1, 32767);
	check(op(2, 7, 0) == 0);
	gone = child(up_five);
	reap(gone);
	check(semctl(set, 0, IPC_STAT, (union semun){ .buf = &before }) == 0);

	zdtm_park();

	check(semctl(set, 0, IPC_STAT, (union semun){ .buf = &after }) == 0);
	check(after.sem_nsems == SEMS && after.sem_otime && before.sem_otime);
	check(after.sem_perm.mode == before.sem_perm.mode && semget(KEY, 0, 0) == set);
	check(value(0) == 0 && value(1) == 32767 && value(2) == 7 && value(5) == 9);
	check(semctl(set, 0, GETPID) == 0 && semctl(set, 1, GETPID) == getpid());
	check(semctl(set, 2, GETPID) == getpid() && semctl(set, 5, GETPID) == gone);
	return done();
}

static int fresh(void)
{
	struct semid_ds ds;

	make();
	set_value(3, 3);

	zdtm_park();

	check(semctl(set, 0, IPC_STAT, (union semun){ .buf = &ds }) == 0 && !ds.sem_otime);
	check(value(3) == 3 && value(4) == 0);
	return done();
}

/* ---- undo ---- */

static void wait_for(int num, int what)
{
	while (value(num) < what)
		zdtm_nap();
}

/* Semaphore 0: it goes on when that is 5, or 4 as one has left. */
static void hold_some(void)
{
	check(op(1, -1, SEM_UNDO) == 0);
	check(op(50, 300, SEM_UNDO) == 0);
	check(op(0, 1, SEM_UNDO) == 0);
	wait_for(0, 4);
}

static void *thread_holds(void *arg)
{
	check(op(1, -1, SEM_UNDO) == 0);
	check(op(2, -20000, SEM_UNDO) == 0 && op(2, 20000, 0) == 0);
	check(op(2, -7000, SEM_UNDO) == 0); /* 27000 to be added: no value is above 32767 */
	check(op(3, 1, 0) == 0);
	for (;;)
		pause();
	return arg;
}

static void hold_by_thread(void)
{
	pthread_t thread;

	check(pthread_create(&thread, NULL, thread_holds, NULL) == 0);
	check(op(0, 1, 0) == 0);
	wait_for(0, 4);
}

static int undo(void)
{
	pid_t pid[2];

	make();
	set_value(1, 3);
	set_value(2, 25000);
	pid[0] = child(hold_some);
	pid[1] = child(hold_by_thread);
	wait_for(0, 2);
	wait_for(3, 1);
	check(op(1, 0, IPC_NOWAIT) < 0 && errno == EAGAIN && value(1) == 1);
	check(op(50, -1, 0) == 0); /* the last, although others will undo there */

	zdtm_park();

	check(value(0) == 2 && value(1) == 1 && value(2) == 18000 && value(50) == 299);
	check(semctl(set, 50, GETPID) == getpid());
	check(op(0, 3, 0) == 0);
	reap(pid[0]);
	reap(pid[1]);
	check(value(0) == 4 && value(1) == 3 && value(2) == 32767);
	check(value(50) == 0);
	return done();
}

/* ---- waiting ---- */

static void wait_for_one(void)
{
	check(op(1, -1, SEM_UNDO) == 0);
	check(op(2, 1, 0) == 0);
}

static void wait_for_zero(void)
{
	check(op(3, 0, 0) == 0);
	check(op(2, 1, 0) == 0);
}

static int blocked(void)
{
	pid_t pid[2];

	make();
	set_value(3, 1);
	pid[0] = child(wait_for_one);
	pid[1] = child(wait_for_zero);
	while (semctl(set, 1, GETNCNT) != 1 || semctl(set, 3, GETZCNT) != 1)
		zdtm_nap();

	zdtm_park();

	while (semctl(set, 1, GETNCNT) != 1 || semctl(set, 3, GETZCNT) != 1)
		zdtm_nap();
	check(op(1, 1, 0) == 0 && op(3, -1, 0) == 0 && op(2, -2, 0) == 0);
	reap(pid[0]);
	reap(pid[1]);
	check(value(1) == 1);
	return done();
}

/* ---- others ---- */

static int kept(void)
{
	make();
	set_value(1, 1);
	check(op(1, -1, SEM_UNDO) == 0 && op(2, 1, 0) == 0);

	zdtm_park();

	check(value(1) == 0 && value(4) == 4);
	if (fork() == 0)
		_exit(0);
	return zdtm_pass();
}

static int outsider(int id)
{
	set = id;
	check(op(4, 1, 0) == 0);
	zdtm_park();
	check(value(1) == 1 && op(4, 3, 0) == 0);
	return zdtm_pass();
}

static const struct {
	const char *name;
	int (*run)(void);
} variants[] = { { "fresh", fresh }, { "undo", undo }, { "blocked", blocked }, { "kept", kept } };

int main(int argc, char **argv)
{
	for (size_t i = 0; i < sizeof(variants) / sizeof(variants[0]); i++)
		if (argc > 1 && !strcmp(argv[1], variants[i].name))
			return variants[i].run();
	return argc > 2 ? outsider(atoi(argv[2])) : plain();
}
