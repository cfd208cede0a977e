/*
 * A tree whose processes fork, vfork, exec, end, are killed, stop and go on all
 * the time, and lose nothing by it: every end is seen by its parent, once, as it was.
 *
 *	churn WORKERS    that many at work; the root reaps what falls off them
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "zdtm.h"

#define ORPHAN 77 /* exit code of those that fall to the root */

static struct shared {
	int made, reaped; /* orphans */
	int rounds;
} * shared;

static void count(int *what)
{
	__atomic_add_fetch(what, 1, __ATOMIC_SEQ_CST);
}

/* The next thing that there is to tell of PID. */
static int next_status(pid_t pid, int flags)
{
	int status = 0;
	pid_t got = waitpid(pid, &status, flags);

	check(got == pid);
	return status;
}

static void ends_with(pid_t pid, int code)
{
	int status = next_status(pid, 0);

	check(WIFEXITED(status));
	check(WEXITSTATUS(status) == code);
}

static void run_self(int code)
{
	char text[16];

	snprintf(text, sizeof(text), "%d", code);
	execl("/proc/self/exe", "churn", "end", text, NULL);
	_exit(1);
}

static void by_fork(int code)
{
	pid_t pid = fork();

	check(pid >= 0);
	if (pid == 0)
		_exit(code);
	ends_with(pid, code);
}

static void by_vfork(int code)
{
	pid_t pid = vfork();

	if (pid == 0)
		run_self(code);
	check(pid > 0);
	ends_with(pid, code);
}

static void *thread_exec(void *arg)
{
	run_self(*(int *)arg);
	return NULL;
}

static void *thread_idle(void *arg)
{
	for (;;)
		pause();
	return NULL;
}

/* Not by the leader: exec takes over its number, and ends all others. */
static void by_thread_exec(int code)
{
	pid_t pid = fork();
	pthread_t thread;

	check(pid >= 0);
	if (pid == 0) {
		pthread_create(&thread, NULL, thread_idle, NULL);
		pthread_create(&thread, NULL, thread_exec, &code);
		for (;;)
			pause();
	}
	ends_with(pid, code);
}

static void by_signal(int code)
{
	pid_t pid = fork();
	int status;

	check(pid >= 0);
	if (pid == 0) {
		kill(getpid(), SIGKILL);
		_exit(1);
	}
	status = next_status(pid, 0);
	check(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static void *thread_exit(void *arg)
{
	_exit(*(int *)arg);
}

/* The leader may be gone before the others are. */
static void by_last_thread(int code)
{
	pid_t pid = fork();
	pthread_t thread;

	check(pid >= 0);
	if (pid == 0) {
		static int arg;

		arg = code;
		pthread_create(&thread, NULL, thread_exit, &arg);
		syscall(SYS_exit, 0);
	}
	ends_with(pid, code);
}

static void by_orphan(int code)
{
	pid_t pid = fork();

	check(pid >= 0);
	if (pid == 0) {
		if (fork() == 0)
			_exit(ORPHAN);
		_exit(code);
	}
	count(&shared->made);
	ends_with(pid, code);
}

static void by_stop(int code)
{
	pid_t pid = fork();
	int status;

	check(pid >= 0);
	if (pid == 0) {
		raise(SIGSTOP);
		_exit(code);
	}
	status = next_status(pid, WUNTRACED);
	check(WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP);
	check(waitpid(pid, &status, WUNTRACED | WNOHANG) == 0);
	check(kill(pid, SIGCONT) == 0);
	status = next_status(pid, WCONTINUED);
	if (WIFCONTINUED(status))
		ends_with(pid, code);
	else
		check(WIFEXITED(status) && WEXITSTATUS(status) == code);
}

static void work(int n)
{
	static void (*const ways[])(int code) = { by_fork,   by_vfork, by_thread_exec, by_signal,
		                                  by_orphan, by_stop,  by_last_thread, by_vfork };

	for (int i = n; !zdtm_released(); i++) {
		ways[(unsigned)i % (sizeof(ways) / sizeof(ways[0]))](i % 100 + 1);
		count(&shared->rounds);
	}
	_exit(0);
}

int main(int argc, char **argv)
{
	int workers, status;
	pid_t pid;

	check(argc >= 2);
	if (!strcmp(argv[1], "end"))
		_exit(atoi(argv[2]));
	workers = atoi(argv[1]);
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
	              0);
	check(shared != MAP_FAILED);
	check(prctl(PR_SET_CHILD_SUBREAPER, 1) == 0);
	for (int i = 0; i < workers; i++)
		if (fork() == 0)
			work(i);
	zdtm_parked();
	while ((pid = wait(&status)) > 0) {
		check(WIFEXITED(status));
		check(WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == ORPHAN);
		shared->reaped += WEXITSTATUS(status) == ORPHAN;
	}
	check(errno == ECHILD);
	check(shared->made == shared->reaped);
	check(shared->rounds > 0);
	return zdtm_pass();
}
