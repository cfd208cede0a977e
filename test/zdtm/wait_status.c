/*
 * What a parent has still to be told of its children by wait(2), and is told
 * just once; a SIGCHLD that was heard before is not heard again.
 *
 *	wait_status stop        a child that was stopped, not collected
 *	wait_status collected   the same, collected
 *	wait_status tstp        by SIGTSTP, not collected
 *	wait_status continued   a child that was stopped and goes on, not collected
 *	wait_status told        the same, collected
 *	wait_status pending     the SIGCHLD of the stop still waits to be heard
 *	wait_status threads     a stopped child has threads
 *	wait_status signals     signals wait for a stopped child to go on
 *	wait_status nested      a stopped parent of a stopped child and one that goes on
 */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "zdtm.h"

static const char *mode;
static int news;
static struct shared {
	int ready, heard;
} * shared;

static bool is(const char *name)
{
	return !strcmp(mode, name);
}

static void on_chld(int sig)
{
	news++;
}

static void on_usr1(int sig)
{
	__atomic_add_fetch(&shared->heard, 1, __ATOMIC_SEQ_CST);
}

static void count(int *what)
{
	__atomic_add_fetch(what, 1, __ATOMIC_SEQ_CST);
}

static void reach(int *what, int n)
{
	while (__atomic_load_n(what, __ATOMIC_SEQ_CST) < n)
		usleep(2000);
}

static void *idle(void *arg)
{
	count(&shared->ready);
	for (;;)
		pause();
	return NULL;
}

/* Waits for its end. */
static pid_t start_child(int threads)
{
	pid_t pid = fork();
	pthread_t thread;

	if (pid)
		return pid;
	setpgid(0, 0);
	signal(SIGUSR1, on_usr1);
	for (int i = 0; i < threads; i++)
		check(pthread_create(&thread, NULL, idle, NULL) == 0);
	count(&shared->ready);
	for (;;)
		pause();
}

/* Nothing is taken away. */
static void await_state(pid_t pid, int flag)
{
	siginfo_t si = {};

	while (waitid(P_PID, (id_t)pid, &si, flag | WNOWAIT) < 0)
		continue;
	check(si.si_pid == pid);
}

/* What there is to be told of PID, once; then nothing. */
static void told(pid_t pid, int code, int status)
{
	siginfo_t si = {};

	check(waitid(P_PID, (id_t)pid, &si, WSTOPPED | WCONTINUED | WNOHANG) == 0);
	check(code ? si.si_pid == pid : si.si_pid == 0);
	check(si.si_code == code && si.si_status == status);
	si = (siginfo_t){};
	check(waitid(P_PID, (id_t)pid, &si, WSTOPPED | WCONTINUED | WNOHANG) == 0);
	check(si.si_pid == 0);
}

static void stop(pid_t pid, int sig)
{
	check(kill(pid, sig) == 0);
	await_state(pid, WSTOPPED);
	check(news || is("pending")); /* before wait(2) can see it */
}

/* The child says so when it runs. */
static void go_on(pid_t pid)
{
	int before = news;

	check(kill(pid, SIGCONT) == 0);
	await_state(pid, WCONTINUED);
	while (__atomic_load_n(&news, __ATOMIC_SEQ_CST) == before)
		usleep(2000);
}

static void end(pid_t pid)
{
	int status;

	check(kill(pid, SIGKILL) == 0);
	while (waitpid(pid, &status, 0) != pid)
		continue;
	check(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

/* Stopped, with a stopped child and one that goes on, of which it has not been told. */
static void nested(pid_t parent)
{
	pid_t a = start_child(0), b = start_child(0);

	reach(&shared->ready, 2);
	stop(a, SIGSTOP);
	stop(b, SIGSTOP);
	go_on(b);
	news = 0;
	check(raise(SIGSTOP) == 0);
	check(news == 0);
	check(getppid() == parent);
	told(a, CLD_STOPPED, SIGSTOP);
	told(b, CLD_CONTINUED, SIGCONT);
	check(news == 0);
	end(a);
	end(b);
}

static void check_news(pid_t pid)
{
	sigset_t chld;
	siginfo_t si;
	struct timespec none = {};

	sigemptyset(&chld);
	sigaddset(&chld, SIGCHLD);
	if (is("pending")) {
		check(sigtimedwait(&chld, &si, &none) == SIGCHLD);
		check(si.si_code == CLD_STOPPED && si.si_pid == pid);
	}
	check(sigtimedwait(&chld, &si, &none) < 0);
	check(news == 0);
}

int main(int argc, char **argv)
{
	bool continued, collected;
	int sig, status;
	siginfo_t si;
	sigset_t chld;
	pid_t pid;

	check(argc == 2);
	mode = argv[1];
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
	              0);
	check(shared != MAP_FAILED);
	signal(SIGCHLD, on_chld);
	if (is("pending")) {
		sigemptyset(&chld);
		sigaddset(&chld, SIGCHLD);
		sigprocmask(SIG_BLOCK, &chld, NULL);
	}
	continued = is("continued") || is("told");
	collected = is("collected") || is("told");
	sig = is("tstp") ? SIGTSTP : SIGSTOP;
	if (is("nested")) {
		pid_t parent = getpid();

		pid = fork();
		if (pid == 0) {
			nested(parent);
			_exit(7);
		}
		await_state(pid, WSTOPPED);
	} else {
		pid = start_child(is("threads") ? 3 : 0);
		reach(&shared->ready, is("threads") ? 4 : 1);
		stop(pid, sig);
	}
	if (is("signals")) {
		check(kill(pid, SIGUSR1) == 0);
		check(kill(pid, SIGTSTP) == 0);
	}
	if (continued)
		go_on(pid);
	if (collected)
		check(waitid(P_PID, (id_t)pid, &si, WSTOPPED | WCONTINUED) == 0);
	news = 0;
	zdtm_park();
	check_news(pid);
	if (collected)
		told(pid, 0, 0);
	else if (continued)
		told(pid, CLD_CONTINUED, SIGCONT);
	else
		told(pid, CLD_STOPPED, sig);
	check(news == 0);
	if (is("signals")) {
		check(shared->heard == 0);
		go_on(pid);
		reach(&shared->heard, 1);
		told(pid, CLD_CONTINUED, SIGCONT); /* which took SIGTSTP away */
	}
	if (!is("nested")) {
		end(pid);
		return zdtm_pass();
	}
	check(kill(pid, SIGCONT) == 0);
	while (waitpid(pid, &status, 0) != pid)
		continue;
	check(WIFEXITED(status) && WEXITSTATUS(status) == 7);
	return zdtm_pass();
}
