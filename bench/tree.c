/*
 * What a process of a large tree costs, and a thread of a large process, at three sizes: how long each stands
 * still in a dump that lets it run on, what its restore takes, and the system calls of crtool for each, of all
 * the dump and while it stands still (strace(1)). A step that is quadratic shows as a cost that grows with the number.
 *
 * The goals (0.1 ms frozen, 0.5 ms to restore a small process) are those of an idle machine. What this one can
 * do is measured beside it: a loop that does nothing but ptrace(2), all seized, stopped, looked at and let
 * go; and a loop of fork(2) (or clone(2)) until the last has run. CPU time is what other load changes least.
 *
 *	tree [KIND SIZE...]   KIND: processes, threads
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/measure.h"

#define SIZE_MAX_ 20000
#define TIMEOUT   "120"
#define COUNTED   3000 /* of more, strace(1) takes minutes */

static char crtool[4096], work[64], images[96], out[96], calls[96];
static pid_t target;
static pid_t tids[SIZE_MAX_ + 1];
static unsigned *there; /* shared: how many of the victim have run */

static void clean(void)
{
	char command[128];

	if (target > 0)
		kill(target, SIGKILL);
	snprintf(command, sizeof(command), "rm -rf %s", work);
	if (system(command))
		fprintf(stderr, "bench: %s stays behind\n", work);
}

static void leave(int sig)
{
	exit(128 + sig);
}

/* ---- the victim ---- */

static void be_there(void)
{
	__atomic_add_fetch(there, 1, __ATOMIC_SEQ_CST);
}

static void *sleeper(void *arg)
{
	be_there();
	for (;;)
		pause();
	return NULL;
}

/* All the same, as small as a process can be. They end with the first. */
static void become(bool threads, int n)
{
	pthread_attr_t attr;
	pthread_t thread;
	pid_t first = getpid();

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 65536);
	for (int i = 0; i < n; i++) {
		if (threads) {
			if (pthread_create(&thread, &attr, sleeper, NULL))
				_exit(1);
		} else if (fork() == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			if (getppid() != first)
				_exit(0);
			be_there();
			munmap(there, 4096);
			for (;;)
				pause();
		}
	}
}

/* Its pid, once all are there; *MS: how long that took. */
static pid_t start(bool threads, int n, double *ms)
{
	double begun = now_ms();
	pid_t pid;

	*there = 0;
	pid = fork();
	if (pid == 0) {
		int null = open("/dev/null", O_RDWR);

		setsid();
		dup2(null, 0), dup2(null, 1), dup2(null, 2);
		close_range(3, ~0u, 0);
		become(threads, n);
		while (__atomic_load_n(there, __ATOMIC_SEQ_CST) < (unsigned)n)
			usleep(200);
		be_there();
		munmap(there, 4096); /* the checkpoint is not about that */
		for (;;)
			pause();
	}
	must(pid > 0, "fork");
	while (__atomic_load_n(there, __ATOMIC_SEQ_CST) <= (unsigned)n)
		usleep(200);
	*ms = now_ms() - begun;
	return pid;
}

/* All numbers are free again. */
static void ended(int n)
{
	for (int i = 0; i <= n; i++)
		while (tids[i] && kill(tids[i], 0) == 0)
			if (waitpid(-1, NULL, WNOHANG) <= 0)
				usleep(1000);
}

static int list(bool threads, pid_t pid, int n)
{
	char path[64], word[16];
	int found = 1, fd;
	FILE *f;

	tids[0] = pid;
	snprintf(path, sizeof(path), threads ? "ls /proc/%d/task" : "cat /proc/%d/task/%d/children",
	         pid, pid);
	f = popen(path, "r");
	must(f, "list");
	while (found <= n && fscanf(f, "%15s", word) == 1)
		if (atoi(word) != pid)
			tids[found++] = atoi(word);
	fd = pclose(f);
	return fd ? 0 : found;
}

/* ---- beside it ---- */

static double cpu_ms(int who)
{
	struct rusage u;

	getrusage(who, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1e3 +
	       (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e3;
}

/* All stopped, their registers read, let go. */
static void bare(int n, double *ms, double *cpu)
{
	struct user_regs_struct regs;
	double begun, used;

	for (int i = 0; i < n; i++)
		ptrace(PTRACE_SEIZE, tids[i], NULL, NULL);
	begun = now_ms();
	used = cpu_ms(RUSAGE_SELF);
	for (int i = 0; i < n; i++)
		ptrace(PTRACE_INTERRUPT, tids[i], NULL, NULL);
	for (int i = n; i-- > 0;) {
		while (waitpid(tids[i], NULL, __WALL) < 0 && errno == EINTR)
			continue;
		ptrace(PTRACE_GETREGS, tids[i], NULL, &regs);
	}
	for (int i = 0; i < n; i++)
		ptrace(PTRACE_DETACH, tids[i], NULL, NULL);
	*ms = now_ms() - begun;
	*cpu = cpu_ms(RUSAGE_SELF) - used;
}

/* ---- crtool ---- */

/* Its time, and *CPU. */
static double run(const char *const args[], double *cpu)
{
	double begun = now_ms(), used = cpu_ms(RUSAGE_CHILDREN);
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		int fd = open(out, O_WRONLY | O_CREAT | O_TRUNC, 0600);

		dup2(fd, 1);
		execvp(args[0], (char *const *)args);
		_exit(127);
	}
	while (waitpid(pid, &status, 0) != pid)
		continue;
	if (status) {
		fprintf(stderr, "bench: %s failed\n", args[0]);
		exit(1);
	}
	*cpu = cpu_ms(RUSAGE_CHILDREN) - used;
	return now_ms() - begun;
}

static void remove_images(void)
{
	char command[160];

	snprintf(command, sizeof(command), "rm -rf %s", images);
	must(system(command) == 0, "rm");
}

/* Lines of strace: from the first that stops somebody to the last that lets go. */
static void count_calls(double *all, double *frozen)
{
	char line[512];
	FILE *f = fopen(calls, "r");
	long n = 0, first = 0, last = 0;

	*all = *frozen = 0;
	while (f && fgets(line, sizeof(line), f)) {
		if (strstr(line, " resumed>") || !strchr(line, '('))
			continue;
		n++;
		if (!first && strstr(line, "PTRACE_INTERRUPT"))
			first = n;
		if (strstr(line, "PTRACE_DETACH"))
			last = n;
	}
	if (f)
		fclose(f);
	unlink(calls);
	*all = (double)n;
	*frozen = (double)(last - first);
}

/* What one costs, in us, and in calls. */
struct cost {
	double frozen, frozen_cpu, restore, restore_cpu, calls, frozen_calls;
};

static struct cost measure(bool threads, int n)
{
	double made, bare_ms = 0, bare_cpu = 0, dump_cpu, back_cpu, frozen, frozen_cpu, back, all,
		     window;
	char number[16];
	double each = 1e3 / n;
	struct cost c;

	target = start(threads, n, &made);
	must(list(threads, target, n) == n + 1, "list the victim");
	bare(n + 1, &bare_ms, &bare_cpu);
	snprintf(number, sizeof(number), "%d", target);

	const char *const count[] = { "strace", "-f", "-qq",       "-o",        calls,   crtool,
		                      "dump",   "-R", "--no-sync", "--timeout", TIMEOUT, "-t",
		                      number,   "-D", images,      NULL };
	const char *const save[] = { crtool,  "dump", "-R",   "--json", "--no-sync", "--timeout",
		                     TIMEOUT, "-t",   number, "-D",     images,      NULL };
	const char *const load[] = { crtool,  "restore", "-d",   "--timeout",
		                     TIMEOUT, "-D",      images, NULL };

	if (n <= COUNTED) {
		run(count, &dump_cpu);
		remove_images();
	}
	count_calls(&all, &window);
	run(save, &dump_cpu);
	frozen = fact(out, "\"frozen_us\"");
	frozen_cpu = fact(out, "\"frozen_cpu_us\"");
	kill(target, SIGKILL);
	ended(n);
	back = run(load, &back_cpu);
	remove_images();
	kill(target, SIGKILL);
	ended(n);
	target = 0;
	c = (struct cost){ frozen * each,   frozen_cpu * each, back * each,
		           back_cpu * each, all / n,           window / n };
	printf("%-9s %6d | frozen %7.1f us, CPU %6.1f; bare %6.1f, CPU %5.1f; x %4.1f, CPU x %4.1f "
	       "|"
	       " restore %7.1f us, CPU %6.1f; bare %6.1f; x %4.1f | calls %6.1f, frozen %6.1f\n",
	       threads ? "threads" : "processes", n, c.frozen, c.frozen_cpu, bare_ms * each,
	       bare_cpu * each, frozen / bare_ms, bare_cpu > 0 ? frozen_cpu / bare_cpu : 0,
	       c.restore, c.restore_cpu, made * each, back / made, c.calls, c.frozen_calls);
	fflush(stdout);
	return c;
}

/* Nothing may grow with the number but by its logarithm, and what is small is measured badly. */
static bool grows(const struct cost *small, const struct cost *large)
{
	return (large->calls > 0 && large->calls > small->calls * 1.2 + 2) ||
	       large->frozen_calls > small->frozen_calls * 1.2 + 2 ||
	       large->frozen_cpu > small->frozen_cpu * 3 + 20 ||
	       large->restore_cpu > small->restore_cpu * 3 + 20;
}

static bool series(bool threads, int n, const char *const sizes[])
{
	struct cost first = {}, last = {};

	for (int i = 0; i < n; i++) {
		last = measure(threads, atoi(sizes[i]));
		if (i == 0)
			first = last;
	}
	return !grows(&first, &last);
}

int main(int argc, char **argv)
{
	static const char *processes[] = { "500", "1500", "5000" },
			  *threads[] = { "1000", "3000", "10000" };
	const char *build = getenv("B");
	bool good = true;

	if (system("strace -V >/dev/null 2>&1")) {
		printf("skipped: there is no strace\n");
		return 0;
	}
	snprintf(crtool, sizeof(crtool), "%s/crtool", build ? build : "build");
	snprintf(work, sizeof(work), "/dev/shm/crtool-bench-XXXXXX");
	must(mkdtemp(work), "mkdtemp");
	snprintf(images, sizeof(images), "%s/images", work);
	snprintf(out, sizeof(out), "%s/out", work);
	snprintf(calls, sizeof(calls), "%s/calls", work);
	there = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	must(there != MAP_FAILED, "mmap");
	atexit(clean);
	signal(SIGINT, leave);
	signal(SIGTERM, leave);
	prctl(PR_SET_CHILD_SUBREAPER, 1); /* restored targets fall to us */
	printf("for each:\n");
	if (argc > 2)
		return !series(!strcmp(argv[1], "threads"), argc - 2,
		               (const char *const *)argv + 2);
	good = series(false, 3, processes);
	return !(series(true, 3, threads) && good);
}
