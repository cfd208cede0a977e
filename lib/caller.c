#include "lib/caller.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <ucontext.h>
#include <unistd.h>

#include "lib/fd.h"
#include "lib/log.h"

#define STACK          (1u << 20)
#define STACK_AT_LEAST (384u << 10) /* 128 KiB of it may be the environment */

/* There may be no /dev. What is written to this fails, and it is nothing to read from. */
static int streams_open(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0 && null_open() != fd)
			return fail(-EMFILE, "open descriptor %d, which is closed", fd);
	return 0;
}

static void signals_let(void)
{
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGCHLD, SIG_DFL); /* who is started with it ignored could wait for nobody */
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
}

static void descriptors_raise(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

/* Those of threads would be as large as the limit was at the start. */
static int stacks_size(void)
{
	pthread_attr_t attr;
	int r = pthread_attr_init(&attr);

	if (r == 0)
		r = pthread_attr_setstacksize(&attr, STACK);
	if (r == 0)
		r = pthread_setattr_default_np(&attr);
	pthread_attr_destroy(&attr);
	return r ? fail(-r, "choose the size of stacks") : 0;
}

int caller_settle(void)
{
	int r = streams_open();

	signals_let();
	descriptors_raise();
	return r < 0 ? r : stacks_size();
}

/* ---- a stack ---- */

struct call {
	int (*fn)(int argc, char **argv);
	int argc;
	char **argv;
	int result;
};

/* A pointer is passed in halves: makecontext(3) knows numbers only. */
static void call(unsigned high, unsigned low)
{
	struct call *c = (struct call *)((uintptr_t)high << 32 | low);

	c->result = c->fn(c->argc, c->argv);
}

static int call_elsewhere(struct call *c)
{
	ucontext_t here, there;
	void *stack = mmap(NULL, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (stack == MAP_FAILED || getcontext(&there) < 0)
		return -errno;
	there.uc_stack.ss_sp = stack;
	there.uc_stack.ss_size = STACK;
	there.uc_link = &here;
	makecontext(&there, (void (*)(void))call, 2, (unsigned)((uintptr_t)c >> 32),
	            (unsigned)(uintptr_t)c);
	return swapcontext(&here, &there) < 0 ? -errno : c->result;
}

int caller_on_stack(int (*fn)(int argc, char **argv), int argc, char **argv)
{
	struct call c = { .fn = fn, .argc = argc, .argv = argv };
	struct rlimit limit;

	if (getrlimit(RLIMIT_STACK, &limit) == 0 && limit.rlim_cur < STACK)
		return call_elsewhere(&c);
	return fn(argc, argv);
}
