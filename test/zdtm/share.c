/*
 * Processes that share with clone(2) what fork(2) copies. Who shares what with
 * whom is asked from kcmp(2), by all of them with all, before and after; and
 * what is done to a shared table by one is seen by the other.
 *
 *	share combinations   one child for each set of flags that is legal
 *	share chain          a grandchild that shares memory with both, descriptors with one
 *	share siblings       children that share with each other, not with their parent
 *	share threads        a child that shares memory, and both have threads
 *	share forks          a child that shares memory and forks others, who do not
 *	share apart          (refused) sharers with somebody between them who does not
 *	share vfork          (refused) a caller of vfork(2) that waits
 *
 * A child that shares memory shares the C library's state, too: it makes plain
 * system calls only.
 */
#include <fcntl.h>
#include <linux/kcmp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "zdtm.h"

#define MAX    16
#define STACK  65536
#define TABLES 4

static const struct {
	int type;
	unsigned long flag;
} tables[TABLES] = {
	{ KCMP_VM, CLONE_VM },
	{ KCMP_FILES, CLONE_FILES },
	{ KCMP_FS, CLONE_FS },
	{ KCMP_SIGHAND, CLONE_SIGHAND },
};

/* Shared by all, whatever they share besides. */
static struct shared {
	int go;
	pid_t pids[MAX];
	unsigned long wrote[MAX]; /* where each has written into its memory */
	int fds[MAX];             /* what each has opened */
	size_t n;
} * shared;

static unsigned long private[MAX];
static char pictures[2][1 << 14];

/* The system call instruction itself: not even errno is touched. */
static long call(long nr, long a, long b, long c, long d)
{
	register long r10 __asm__("r10") = d;
	long r;

	__asm__ volatile("syscall"
	                 : "=a"(r)
	                 : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10)
	                 : "rcx", "r11", "memory");
	return r;
}

static void nap(void)
{
	struct timespec pause = { .tv_nsec = 2000000 };

	call(SYS_nanosleep, (long)&pause, 0, 0, 0);
}

static void wait_for(int go)
{
	while (__atomic_load_n(&shared->go, __ATOMIC_SEQ_CST) < go)
		nap();
}

#define END 100

/* A child: when it is its turn, it leaves a trace in everything that it may share. */
static void child(size_t n)
{
	unsigned long action[4] = { (unsigned long)SIG_IGN, 0, 0, 0 };

	wait_for((int)n + 1);
	private[n] = 1;
	shared->fds[n] = (int)call(SYS_openat, AT_FDCWD, (long)"/dev/null", O_RDONLY, 0);
	call(SYS_umask, 0700 + (long)n, 0, 0, 0);
	call(SYS_rt_sigaction, SIGRTMIN + 1 + (long)n, (long)action, 0, 8);
	__atomic_add_fetch(&shared->wrote[n], 1, __ATOMIC_SEQ_CST);
	wait_for(END);
	call(SYS_exit_group, 40 + (long)n, 0, 0, 0);
}

struct start {
	size_t n;
	void (*life)(size_t n);
};

static int enter(void *arg)
{
	const struct start *s = arg;

	s->life(s->n);
	return 0;
}

/* FLAGS of clone(2) besides SIGCHLD. */
static pid_t start(unsigned long flags, size_t n, void (*life)(size_t n))
{
	static struct start starts[MAX];
	static char stacks[MAX][STACK];
	pid_t pid;

	starts[n] = (struct start){ n, life };
	pid = clone(enter, stacks[n] + STACK, (int)flags | SIGCHLD, &starts[n]);
	check(pid > 0);
	shared->pids[n] = pid;
	__atomic_add_fetch(&shared->n, 1, __ATOMIC_SEQ_CST);
	return pid;
}

static bool same(pid_t a, pid_t b, int type)
{
	return syscall(SYS_kcmp, a, b, type, 0, 0) == 0;
}

/* Who shares what with whom, as text. */
static void picture(char *text)
{
	pid_t all[MAX + 1] = { getpid() };
	size_t n = shared->n + 1;

	memcpy(all + 1, shared->pids, sizeof(shared->pids));
	for (size_t i = 0; i < n; i++)
		for (size_t j = 0; j < i; j++)
			for (int k = 0; k < TABLES; k++)
				*text++ = same(all[i], all[j], tables[k].type) ? '1' : '0';
	*text = '\0';
}

static mode_t current_umask(void)
{
	mode_t mask = umask(0);

	umask(mask);
	return mask;
}

static bool ignores(int signal)
{
	struct sigaction sa;

	check(sigaction(signal, NULL, &sa) == 0);
	return sa.sa_handler == SIG_IGN;
}

/* What child N has done must be seen here as far as it shares FLAGS with us. */
static void check_traces(size_t n, unsigned long flags)
{
	bool fd = fcntl(shared->fds[n], F_GETFD) >= 0;

	check(private[n] == ((flags & CLONE_VM) != 0));
	check(fd == ((flags & CLONE_FILES) != 0));
	if (fd)
		close(shared->fds[n]);
	check((current_umask() == 0700 + n) == ((flags & CLONE_FS) != 0));
	check(ignores(SIGRTMIN + 1 + (int)n) == ((flags & CLONE_SIGHAND) != 0));
}

static void reap(pid_t pid, int code)
{
	int status;

	check(waitpid(pid, &status, 0) == pid);
	check(WIFEXITED(status) && WEXITSTATUS(status) == code);
}

static void park(void)
{
	picture(pictures[0]);
	zdtm_park();
	picture(pictures[1]);
	if (strcmp(pictures[0], pictures[1]) != 0)
		fprintf(stderr, "%s\n%s\n", pictures[0], pictures[1]);
	check(!strcmp(pictures[0], pictures[1]));
}

static void go_on(int go)
{
	__atomic_store_n(&shared->go, go, __ATOMIC_SEQ_CST);
}

/* Have child N leave its trace, and look for it. */
static void trace(size_t n, unsigned long flags)
{
	go_on((int)n + 1);
	while (!__atomic_load_n(&shared->wrote[n], __ATOMIC_SEQ_CST))
		nap();
	check_traces(n, flags);
}

/* N children end. */
static int finish(size_t n)
{
	go_on(END);
	for (size_t i = 0; i < n; i++)
		reap(shared->pids[i], 40 + (int)i);
	return zdtm_pass();
}

static unsigned long combination(size_t i)
{
	unsigned long flags = 0;

	for (int k = 0; k < TABLES; k++)
		if (i >> k & 1)
			flags |= tables[k].flag;
	return flags;
}

static int combinations(void)
{
	unsigned long flags[MAX];
	size_t n = 0;

	for (size_t i = 0; i < MAX; i++)
		if (!(combination(i) & CLONE_SIGHAND) || combination(i) & CLONE_VM)
			flags[n++] = combination(i);
	for (size_t i = 0; i < n; i++)
		start(flags[i], i, child);
	park();
	for (size_t i = 0; i < n; i++)
		trace(i, flags[i]);
	return finish(n);
}

/* Forks another one, who shares memory and descriptors with it. */
static void middle(size_t n)
{
	start(CLONE_VM | CLONE_FILES, n + 1, child);
	child(n);
}

/* It shares memory with both, descriptors with one. */
static int chain(void)
{
	int status;

	start(CLONE_VM, 0, middle);
	while (__atomic_load_n(&shared->n, __ATOMIC_SEQ_CST) < 2)
		nap();
	park();
	trace(0, CLONE_VM);
	trace(1, CLONE_VM);
	check(same(shared->pids[0], shared->pids[1], KCMP_FILES));
	go_on(END);
	check(waitpid(shared->pids[0], &status, 0) == shared->pids[0]);
	check(WEXITSTATUS(status) == 40);
	return zdtm_pass();
}

/* Clones a sibling and itself is a plain child. */
static void sibling(size_t n)
{
	start(CLONE_PARENT | CLONE_VM | CLONE_FILES | CLONE_FS | CLONE_SIGHAND, n + 1, child);
	child(n);
}

static int siblings(void)
{
	start(0, 0, sibling);
	while (__atomic_load_n(&shared->n, __ATOMIC_SEQ_CST) < 2)
		nap();
	park();
	for (int k = 0; k < TABLES; k++)
		check(same(shared->pids[0], shared->pids[1], tables[k].type));
	trace(0, 0);
	trace(1, 0);
	return finish(2);
}

/* A thread, of the parent or of the child: by the plain call, as the C library belongs to both. */
static int count(void *arg)
{
	unsigned long *counter = arg;

	for (;;) {
		__atomic_add_fetch(counter, 1, __ATOMIC_SEQ_CST);
		nap();
	}
	return 0;
}

#define THREAD (CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM)

static unsigned long counters[2];
static char stacks[2][STACK];

static void with_thread(size_t n)
{
	clone(count, stacks[1] + STACK, THREAD, &counters[1]);
	__atomic_add_fetch(&shared->n, 1, __ATOMIC_SEQ_CST);
	child(n);
}

static bool counts(const unsigned long *counter)
{
	unsigned long before = __atomic_load_n(counter, __ATOMIC_SEQ_CST);

	for (int i = 0; i < 1000; i++, nap())
		if (__atomic_load_n(counter, __ATOMIC_SEQ_CST) != before)
			return true;
	return false;
}

static int threads(void)
{
	check(clone(count, stacks[0] + STACK, THREAD, &counters[0]) > 0);
	start(CLONE_VM, 0, with_thread);
	while (__atomic_load_n(&shared->n, __ATOMIC_SEQ_CST) < 2)
		nap();
	shared->n = 1;
	park();
	check(counts(&counters[0]) && counts(&counters[1]));
	trace(0, CLONE_VM);
	return finish(1);
}

#define BUFFER (1 << 20)

static char buffer[BUFFER];

static bool holds(char c)
{
	for (size_t i = 0; i < BUFFER; i++)
		if (buffer[i] != c)
			return false;
	return true;
}

/* Has a copy of the memory, of its own. */
static void keeper(size_t n)
{
	wait_for(END);
	call(SYS_exit_group, holds('a') ? 40 + (long)n : 1, 0, 0, 0);
}

static void forker(size_t n)
{
	start(0, n + 1, keeper);
	start(0, n + 2, keeper);
	wait_for(END - 1);
	reap(shared->pids[n + 1], 40 + (int)n + 1);
	reap(shared->pids[n + 2], 40 + (int)n + 2);
	call(SYS_exit_group, 40, 0, 0, 0);
}

static int forks(void)
{
	memset(buffer, 'a', BUFFER);
	start(CLONE_VM, 0, forker);
	while (__atomic_load_n(&shared->n, __ATOMIC_SEQ_CST) < 3)
		nap();
	memset(buffer, 'b', BUFFER); /* what the copies share is none of ours any more */
	park();
	check(holds('b'));
	go_on(END);
	reap(shared->pids[0], 40);
	return zdtm_pass();
}

/* Has a child that shares descriptors, and then leaves the table. */
static void leaver(size_t n)
{
	start(CLONE_FILES, n + 1, child);
	unshare(CLONE_FILES);
	child(n);
}

static int apart(void)
{
	start(CLONE_FILES, 0, leaver);
	while (__atomic_load_n(&shared->n, __ATOMIC_SEQ_CST) < 2)
		nap();
	nap();
	zdtm_park();
	go_on(END);
	waitpid(shared->pids[0], NULL, 0);
	return zdtm_pass();
}

/* The parent waits in the kernel, so that the child parks for it. */
static int lend(void)
{
	pid_t pid = vfork();
	int status;

	if (pid == 0) {
		zdtm_park();
		_exit(0);
	}
	check(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0);
	return zdtm_pass();
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		int (*run)(void);
	} modes[] = { { "combinations", combinations },
		      { "chain", chain },
		      { "siblings", siblings },
		      { "threads", threads },
		      { "forks", forks },
		      { "apart", apart },
		      { "vfork", lend } };

	check(argc == 2);
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
	              0);
	check(shared != MAP_FAILED);
	for (size_t i = 0; i < sizeof(modes) / sizeof(*modes); i++)
		if (!strcmp(argv[1], modes[i].name))
			return modes[i].run();
	return 1;
}
