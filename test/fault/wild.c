/*
 * Targets that do not hold still: wild KIND, until it is released.
 *
 *	fork      children that fork and end, all the time
 *	threads   threads that come and go, all the time
 *	exec      the program executes itself again and again
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
		else
			execl("/proc/self/exe", argv[0], argv[1], "again", NULL);
	}
	return zdtm_pass();
}
