/*
 * A debugger whose tracee runs (PTRACE_CONT): neither finds out.
 *
 *	ptrace_runs traceme|attach|seize [WORD]...
 *
 *	compute   it calls nothing, instead of waiting in read(2)
 *	epoll     it waits in epoll_wait(2)
 *	sleep     it sleeps for a moment, again and again
 *	threads   so does a second thread of it
 *	pending   a SIGCHLD waits for the debugger
 */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "zdtm.h"

#define CODE 3

static char **words;
static int ends[2];
static struct shared {
	pid_t second;
	int traced, go;
} * shared;

static bool is(const char *name)
{
	for (char **word = words; *word; word++)
		if (!strcmp(*word, name))
			return true;
	return false;
}

static int load(const int *at)
{
	return __atomic_load_n(at, __ATOMIC_SEQ_CST);
}

static void *sleep_on(void *arg)
{
	const struct timespec moment = { .tv_nsec = 20000000 };

	if (arg)
		__atomic_store_n(&shared->second, gettid(), __ATOMIC_SEQ_CST);
	while (!load(&shared->go))
		check(nanosleep(&moment, NULL) == 0);
	return NULL;
}

static void tracee(void)
{
	struct epoll_event event = { .events = EPOLLIN };
	int polled = epoll_create1(0);
	pthread_t t;
	char c = 0;

	check(polled >= 0 && epoll_ctl(polled, EPOLL_CTL_ADD, ends[0], &event) == 0);

	if (is("threads"))
		check(pthread_create(&t, NULL, sleep_on, shared) == 0);
	if (is("traceme")) {
		check(ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0);
		raise(SIGSTOP);
	}
	while (is("compute") && !load(&shared->go))
		continue;
	if (is("sleep"))
		sleep_on(NULL);
	/* Which the SIGSTOP of PTRACE_ATTACH ends, too. */
	while (is("epoll") && !load(&shared->traced))
		zdtm_nap();
	if (is("epoll"))
		check(epoll_wait(polled, &event, 1, -1) == 1);
	check(read(ends[0], &c, 1) == 1 && c == 'x');
	if (is("threads"))
		check(pthread_join(t, NULL) == 0);
	raise(SIGUSR1);
	_exit(CODE);
}

static void expect(pid_t tid, int status)
{
	int got;

	check(waitpid(tid, &got, __WALL) == tid);
	if (got != status)
		fprintf(stderr, "%d: status 0x%x, not 0x%x\n", tid, got, status);
	check(got == status);
}

static void attach(pid_t tid)
{
	if (is("seize")) {
		check(ptrace(PTRACE_SEIZE, tid, NULL, PTRACE_O_TRACEEXIT) == 0);
		return;
	}
	if (!is("traceme"))
		check(ptrace(PTRACE_ATTACH, tid, NULL, NULL) == 0);
	expect(tid, SIGSTOP << 8 | 0x7f);
	check(ptrace(PTRACE_SETOPTIONS, tid, NULL, PTRACE_O_TRACEEXIT) == 0);
	check(ptrace(PTRACE_CONT, tid, NULL, 0) == 0);
}

static bool waits_in(pid_t pid, long nr)
{
	char path[32];
	long now = -1;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/syscall", pid);
	file = fopen(path, "r");
	check(file);
	if (fscanf(file, "%ld", &now) != 1) /* "running" */
		now = -1;
	fclose(file);
	return now == nr;
}

static void chld(bool pending)
{
	const struct timespec none = {};
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	check(sigprocmask(SIG_BLOCK, &set, NULL) == 0);
	sigtimedwait(&set, NULL, &none);
	if (pending)
		raise(SIGCHLD);
}

static void see_exit(pid_t tid)
{
	expect(tid, PTRACE_EVENT_EXIT << 16 | SIGTRAP << 8 | 0x7f);
	check(ptrace(PTRACE_CONT, tid, NULL, 0) == 0);
}

int main(int argc, char **argv)
{
	int status;
	sigset_t set;
	pid_t pid;

	check(argc >= 2);
	words = argv + 1;
	shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	check(shared != MAP_FAILED && pipe(ends) == 0);
	pid = fork();
	check(pid >= 0);
	if (pid == 0)
		tracee();
	attach(pid);
	__atomic_store_n(&shared->traced, 1, __ATOMIC_SEQ_CST);
	while (is("epoll") && !waits_in(pid, SYS_epoll_wait))
		zdtm_nap();
	if (is("threads")) {
		while (!load(&shared->second))
			zdtm_nap();
		attach(shared->second);
	}
	chld(is("pending"));

	zdtm_park();

	check(waitpid(-1, &status, WNOHANG | __WALL) == 0);
	check(sigpending(&set) == 0 && sigismember(&set, SIGCHLD) == is("pending"));
	__atomic_store_n(&shared->go, 1, __ATOMIC_SEQ_CST);
	check(write(ends[1], "x", 1) == 1);
	if (is("threads")) {
		see_exit(shared->second);
		expect(shared->second, 0);
	}
	expect(pid, SIGUSR1 << 8 | 0x7f);
	check(ptrace(PTRACE_CONT, pid, NULL, 0) == 0);
	see_exit(pid);
	expect(pid, CODE << 8);
	return zdtm_pass();
}
