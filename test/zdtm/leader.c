/*
 * Processes whose main thread has exited while others live on.
 *
 *	leader plain      by pthread_exit(3); the other threads and its memory are there
 *	leader code       a child by exit(2), as all its threads will: the last one's code is that of the process
 *	leader signal     a signal that waits for the process
 *	leader children   whose child was forked by the thread that is gone
 *	leader creds      the thread that lives has other rights than the one that is gone
 *	leader stopped    stopped besides
 */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "zdtm.h"

#define CODE 7

static const char *mode;
static pid_t child;

static bool is(const char *name)
{
	return !strcmp(mode, name);
}

/* State of the main thread, as /proc shows it. */
static char leader_state(pid_t pid)
{
	char path[64], text[512] = "";
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/stat", pid, pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	check(fd >= 0);
	check(read(fd, text, sizeof(text) - 1) > 0);
	close(fd);
	return strrchr(text, ')')[2];
}

static void wait_exited(pid_t pid)
{
	while (leader_state(pid) != 'Z')
		zdtm_nap();
}

static uint64_t *shared_counter(void)
{
	return mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
}

static void before(void)
{
	if (is("signal")) {
		check(kill(getpid(), SIGUSR1) == 0);
		check(kill(getpid(), SIGRTMIN) == 0);
	}
	/* Only this thread: the system call itself knows nothing of the others. */
	if (is("creds"))
		check(syscall(SYS_setresuid, 1, 1, 0) == 0);
}

static void after(void)
{
	struct timespec none = {};
	siginfo_t si;
	sigset_t set;
	int status;

	check(leader_state(getpid()) == 'Z');
	if (is("signal")) {
		sigfillset(&set);
		check(sigtimedwait(&set, &si, &none) == SIGUSR1 && si.si_pid == getpid());
		check(sigtimedwait(&set, &si, &none) == SIGRTMIN && si.si_pid == getpid());
		check(sigtimedwait(&set, &si, &none) == -1);
	}
	if (is("children")) {
		check(waitpid(child, &status, 0) == child);
		check(WIFEXITED(status) && WEXITSTATUS(status) == CODE);
	}
	if (is("creds"))
		check(getuid() == 1 && geteuid() == 1);
}

static void *live_on(void *arg)
{
	pthread_barrier_t *barrier = arg;
	pid_t tid = gettid();

	pthread_barrier_wait(barrier);
	wait_exited(getpid());
	before();
	zdtm_park();
	check(gettid() == tid && getpid() != tid);
	after();
	exit(zdtm_pass());
}

static void *idle(void *arg)
{
	pthread_barrier_wait(arg);
	for (;;)
		pause();
	return NULL;
}

static void *end_alone(void *arg)
{
	uint64_t *go = arg;

	wait_exited(getpid());
	__atomic_store_n(go, 1, __ATOMIC_SEQ_CST);
	while (__atomic_load_n(go, __ATOMIC_SEQ_CST) != 2)
		zdtm_nap();
	syscall(SYS_exit, CODE + 1);
	return NULL;
}

static pid_t start_child(uint64_t *go)
{
	pid_t pid = fork();
	pthread_t thread;

	if (pid)
		return pid;
	check(pthread_create(&thread, NULL, end_alone, go) == 0);
	syscall(SYS_exit, CODE);
	return 0;
}

static int watch_child(void)
{
	uint64_t *go = shared_counter();
	int status;

	child = start_child(go);
	while (__atomic_load_n(go, __ATOMIC_SEQ_CST) != 1)
		zdtm_nap();
	if (is("stopped")) {
		check(kill(child, SIGSTOP) == 0);
		check(waitpid(child, &status, WUNTRACED) == child && WIFSTOPPED(status));
	}
	zdtm_park();
	check(leader_state(child) == 'Z');
	check(waitpid(child, &status, WNOHANG) == 0);
	__atomic_store_n(go, 2, __ATOMIC_SEQ_CST);
	if (is("stopped")) {
		usleep(20000);
		check(waitpid(child, &status, WNOHANG) == 0);
		check(kill(child, SIGCONT) == 0);
	}
	check(waitpid(child, &status, 0) == child);
	check(WIFEXITED(status) && WEXITSTATUS(status) == CODE + 1);
	return zdtm_pass();
}

int main(int argc, char **argv)
{
	static pthread_barrier_t barrier;
	pthread_t thread;
	sigset_t set;

	check(argc == 2);
	mode = argv[1];
	if (is("code") || is("stopped"))
		return watch_child();
	if (is("children") && !(child = fork())) {
		while (!zdtm_released())
			zdtm_nap();
		_exit(CODE);
	}
	if (is("signal")) {
		sigfillset(&set);
		pthread_sigmask(SIG_BLOCK, &set, NULL);
	}
	check(pthread_barrier_init(&barrier, NULL, 3) == 0);
	check(pthread_create(&thread, NULL, live_on, &barrier) == 0);
	check(pthread_create(&thread, NULL, idle, &barrier) == 0);
	pthread_barrier_wait(&barrier);
	pthread_exit(NULL);
}
