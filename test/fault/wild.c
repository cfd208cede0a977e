/*
 * Targets that do not hold still: wild KIND, until it is released.
 *
 *	fork      children that fork and end, all the time
 *	threads   threads that come and go, all the time
 *	exec      the program executes itself again and again
 *	exec-by-thread  the same by one of its many threads, which ends all others
 *	exit      it ends by itself, soon
 *	vfork     a child that keeps its vfork parent waiting for three seconds
 */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "zdtm.h"

static void forks(void)
{
	pid_t pid = fork();

	check(pid >= 0);
	if (pid == 0) {
		if (fork() == 0)
			_exit(0);
		while (wait(NULL) > 0)
			;
		_exit(0);
	}
	check(waitpid(pid, NULL, 0) == pid);
}

static void *nothing(void *arg)
{
	return NULL;
}

static void threads(void)
{
	pthread_t t[8];

	for (int i = 0; i < 8; i++)
		check(pthread_create(&t[i], NULL, nothing, NULL) == 0);
	for (int i = 0; i < 8; i++)
		check(pthread_join(t[i], NULL) == 0);
}

static char **args;

static void execute(void)
{
	execl("/proc/self/exe", args[0], args[1], "again", NULL);
}

static void *wait_for_the_end(void *arg)
{
	for (;;)
		pause();
	return arg;
}

static void *execute_soon(void *arg)
{
	usleep((useconds_t)(getpid() + rand()) % 2000);
	if (!zdtm_released())
		execute();
	return arg;
}

static void execute_by_thread(void)
{
	pthread_t t;

	srand((unsigned)time(NULL));
	for (int i = 0; i < 24; i++)
		check(pthread_create(&t, NULL, wait_for_the_end, NULL) == 0);
	check(pthread_create(&t, NULL, execute_soon, NULL) == 0);
	check(pthread_join(t, NULL) == 0);
}

static void vforks(void)
{
	pid_t pid = vfork();

	if (pid == 0) {
		sleep(3);
		_exit(0);
	}
	check(waitpid(pid, NULL, 0) == pid);
}

int main(int argc, char **argv)
{
	check(argc >= 2);
	args = argv;
	if (argc == 2)
		zdtm_parked();
	if (!strcmp(argv[1], "exit")) {
		for (int i = 0; i < atoi(argv[argc - 1]); i++)
			getppid();
		return zdtm_pass();
	}
	while (!zdtm_released()) {
		if (!strcmp(argv[1], "fork"))
			forks();
		else if (!strcmp(argv[1], "threads"))
			threads();
		else if (!strcmp(argv[1], "vfork"))
			vforks();
		else if (!strcmp(argv[1], "exec-by-thread"))
			execute_by_thread();
		else
			execute();
	}
	return zdtm_pass();
}
