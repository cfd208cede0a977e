/*
 * A tree that changes when there is a file "change", and then says so by "changed": the first of three children is
 * gone, and nine others have come. All but those and the first have a second thread.
 */
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "zdtm.h"

#define CHILDREN 3
#define LATE     9

static pid_t children[CHILDREN + LATE];

static void *count(void *arg)
{
	volatile unsigned long *n = arg;

	for (;;) {
		++*n;
		zdtm_nap();
	}
	return NULL;
}

static void start_counting(void)
{
	static unsigned long n;
	pthread_t thread;

	check(pthread_create(&thread, NULL, count, &n) == 0);
}

static pid_t child(bool counts)
{
	pid_t pid = fork();

	check(pid >= 0);
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (counts)
		start_counting();
	for (;;)
		pause();
}

static void end(pid_t pid)
{
	int status;

	check(kill(pid, SIGKILL) == 0 && waitpid(pid, &status, 0) == pid);
	check(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static void change(void)
{
	end(children[0]);
	for (int i = CHILDREN; i < CHILDREN + LATE; i++)
		children[i] = child(false);
	fclose(fopen("changed", "w"));
}

int main(void)
{
	bool changed = false;

	for (int i = 0; i < CHILDREN; i++)
		children[i] = child(i > 0);
	start_counting();
	zdtm_parked();
	while (!zdtm_released()) {
		if (!changed && access("change", F_OK) == 0) {
			change();
			changed = true;
		}
		zdtm_nap();
	}
	check(changed);
	for (int i = 1; i < CHILDREN + LATE; i++)
		end(children[i]);
	return zdtm_pass();
}
