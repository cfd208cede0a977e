/*
 * A debugger and what it traces, in one tree; it finds all of it as it left it.
 *
 *	traced steps         a child that asked for it and runs to its next system call
 *	traced event         that has become another program, which its tracer has been told of
 *	traced passing       the same, and its tracer lets it go on as soon as that has been stopped once itself
 *	traced seized        a thread of a child, running
 *	traced zombie-thread that thread has ended, and the debugger has not been told
 *	traced zombie        the whole child has ended but for its threads, which are zombies, too
 *	traced emulated      as steps, and its tracer makes its calls for it (PTRACE_SYSEMU)
 *	traced suspended     its seccomp filters are out of force (PTRACE_O_SUSPEND_SECCOMP)
 *	traced confined      it has some
 *	traced listen        it was seized, and is stopped as by its terminal
 */
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "zdtm.h"

static const char *mode;
static struct shared {
	pid_t tid;
	int go;
} * shared;

static bool is(const char *name)
{
	return !strcmp(mode, name);
}

/* Does the child ask to be traced? */
static bool asks(void)
{
	return is("steps") || is("event") || is("passing") || is("emulated");
}

static void reach(int *what, int value)
{
	while (__atomic_load_n(what, __ATOMIC_SEQ_CST) < value)
		zdtm_nap();
}

static void *thread(void *arg)
{
	__atomic_store_n(&shared->tid, gettid(), __ATOMIC_SEQ_CST);
	reach(&shared->go, 1);
	return NULL;
}

static void confine(void)
{
	struct sock_filter allow[] = { BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW) };
	const struct sock_fprog prog = { 1, allow };

	check(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	check(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog) == 0);
}

static void child(void)
{
	pthread_t t;

	if (asks()) {
		check(ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0);
		raise(SIGUSR1);
		__atomic_store_n(&shared->tid, getpid(), __ATOMIC_SEQ_CST);
		while ((is("steps") || is("emulated")) &&
		       !__atomic_load_n(&shared->go, __ATOMIC_SEQ_CST))
			continue;
		execl("/proc/self/exe", "traced", "end", NULL);
		_exit(4);
	}
	if (is("confined"))
		confine();
	check(pthread_create(&t, NULL, thread, NULL) == 0);
	reach(&shared->go, 1);
	if (is("zombie"))
		_exit(3);
	reach(&shared->go, 2);
	_exit(3);
}

static char thread_state(pid_t pid)
{
	char path[64], text[512] = "";
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/stat", pid, shared->tid);
	f = fopen(path, "re");
	check(f && fgets(text, sizeof(text), f));
	fclose(f);
	return strrchr(text, ')')[2];
}

/* From call to call, until it calls nothing any more. */
static void step(pid_t pid)
{
	bool stands = true;

	while (stands || !__atomic_load_n(&shared->tid, __ATOMIC_SEQ_CST)) {
		if (stands)
			check(ptrace(is("steps") ? PTRACE_SYSCALL : PTRACE_SYSEMU, pid, NULL,
			             NULL) == 0);
		stands = waitpid(pid, NULL, WNOHANG) == pid;
		if (!stands)
			zdtm_nap();
	}
}

/* All of its threads stop, the one that is traced as its tracer lets it. */
static void stop_and_listen(pid_t pid)
{
	int status;

	check(kill(pid, SIGSTOP) == 0);
	for (;;) {
		check(waitpid(shared->tid, &status, __WALL) == shared->tid && WIFSTOPPED(status));
		if (status >> 16 == PTRACE_EVENT_STOP)
			break;
		check(ptrace(PTRACE_CONT, shared->tid, NULL, (long)WSTOPSIG(status)) == 0);
	}
	check(ptrace(PTRACE_LISTEN, shared->tid, NULL, NULL) == 0);
}

static void set_up(pid_t pid)
{
	int status;

	if (asks()) {
		check(waitpid(pid, &status, 0) == pid);
		check(WIFSTOPPED(status) && WSTOPSIG(status) == SIGUSR1);
		check(ptrace(PTRACE_SETOPTIONS, pid, NULL, PTRACE_O_TRACEEXEC) == 0);
		if (is("steps") || is("emulated")) {
			step(pid);
			return;
		}
		check(ptrace(PTRACE_CONT, pid, NULL, NULL) == 0);
		check(waitpid(pid, &status, 0) == pid);
		check(status >> 8 == (SIGTRAP | PTRACE_EVENT_EXEC << 8));
		return;
	}
	while (!__atomic_load_n(&shared->tid, __ATOMIC_SEQ_CST))
		zdtm_nap();
	if (is("suspended") &&
	    ptrace(PTRACE_SEIZE, shared->tid, NULL, PTRACE_O_SUSPEND_SECCOMP) < 0)
		exit(77);
	if (!is("suspended"))
		check(ptrace(PTRACE_SEIZE, shared->tid, NULL, NULL) == 0);
	if (is("listen"))
		stop_and_listen(pid);
	if (is("seized") || is("suspended") || is("confined") || is("listen"))
		return;
	__atomic_store_n(&shared->go, 1, __ATOMIC_SEQ_CST);
	while (thread_state(pid) != 'Z')
		zdtm_nap();
}

static void go_on(pid_t pid)
{
	int status;

	if (asks()) {
		__atomic_store_n(&shared->go, 1, __ATOMIC_SEQ_CST);
		if (is("steps") || is("emulated"))
			check(waitpid(pid, &status, 0) == pid);
		check(ptrace(PTRACE_SETOPTIONS, pid, NULL, 0) == 0);
		check(ptrace(PTRACE_DETACH, pid, NULL, NULL) == 0);
	} else {
		if (is("listen"))
			check(kill(pid, SIGCONT) == 0);
		if (is("seized") || is("suspended") || is("confined") || is("listen"))
			__atomic_store_n(&shared->go, 1, __ATOMIC_SEQ_CST);
		while (waitpid(shared->tid, &status, __WALL) == shared->tid && WIFSTOPPED(status))
			check(ptrace(PTRACE_CONT, shared->tid, NULL, NULL) == 0);
		check(WIFEXITED(status));
		__atomic_store_n(&shared->go, 2, __ATOMIC_SEQ_CST);
	}
	check(waitpid(pid, &status, 0) == pid);
	/* Nobody has become another program for it. */
	check(WIFEXITED(status) && WEXITSTATUS(status) == (is("emulated") ? 4 : 3));
}

/* Nothing here waits: who gives his CPU away has been stopped. */
static void await_stop(void)
{
	struct rusage before, now;

	check(getrusage(RUSAGE_THREAD, &before) == 0);
	do
		check(getrusage(RUSAGE_THREAD, &now) == 0);
	while (now.ru_nvcsw == before.ru_nvcsw);
}

int main(int argc, char **argv)
{
	pid_t pid;

	check(argc == 2);
	mode = argv[1];
	if (is("end"))
		return 3;
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
	              0);
	check(shared != MAP_FAILED);
	pid = fork();
	check(pid >= 0);
	if (pid == 0)
		child();
	set_up(pid);
	if (is("passing")) {
		zdtm_parked();
		await_stop();
		go_on(pid);
		while (!zdtm_released())
			zdtm_nap();
		return zdtm_pass();
	}
	zdtm_park();
	go_on(pid);
	return zdtm_pass();
}
