/*
 * What a dump and a restore of nearly nothing cost, and how it grows: an idle
 * process, threads, mappings. Time of crtool as a whole process, as a shell
 * sees it, and the time that the target stood still in a dump with -R (--json, frozen_us);
 * medians.
 *
 * The goals are those of an idle machine. What this one can do is measured in the same run: the cost of
 * starting crtool at all (crtool version), and how long a loop that does nothing but ptrace(2) keeps
 * the target's threads: all stopped, let run and stopped once more (that is the script), detached.
 *
 *	idle [PATTERN]   only what is called so
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/user.h>
#include <time.h>
#include <unistd.h>

#include "bench/target.h"

#define ROUNDS_MAX  31
#define THREADS_MAX 4096

static char crtool[4096], images[64], out[64];

/* Run crtool with ARGS, output into OUT; its time in ms. */
static double run(const char *const args[])
{
	return run_into(out, args);
}

static pid_t target;

static void remove_images(void)
{
	char command[256];

	snprintf(command, sizeof(command), "rm -rf %s", images);
	if (system(command))
		fprintf(stderr, "bench: %s stays behind\n", images);
}

/* Nothing stays behind, whatever failed. */
static void clean(void)
{
	if (target > 0)
		kill(target, SIGKILL);
	unlink(out);
	remove_images();
}

static void leave(int sig)
{
	exit(128 + sig); /* by way of clean() */
}

/* ---- targets ---- */

static void *sleeper(void *arg)
{
	for (;;)
		pause();
	return NULL;
}

static void become(int threads, int mappings)
{
	pthread_attr_t attr;
	pthread_t thread;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 65536);
	for (int i = 1; i < threads; i++)
		if (pthread_create(&thread, &attr, sleeper, NULL))
			_exit(1);
	for (int i = 0; i < mappings; i++) {
		/* no two neighbours alike, so that they stay apart */
		char *p = mmap(NULL, 4096, i % 2 ? PROT_READ | PROT_WRITE : PROT_READ,
		               MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (p == MAP_FAILED)
			_exit(1);
		if (i % 2)
			*p = 1;
	}
}

static pid_t start(int threads, int mappings)
{
	int ready[2];
	char c;
	pid_t pid;

	if (pipe2(ready, O_CLOEXEC) < 0)
		exit(1);
	pid = fork();
	if (pid == 0) {
		int null = open("/dev/null", O_RDWR);

		signal(SIGTERM, SIG_DFL);
		signal(SIGINT, SIG_DFL);
		setsid();
		dup2(null, 0), dup2(null, 1), dup2(null, 2);
		dup2(ready[1], 3);
		close_range(4, ~0u, 0);
		become(threads, mappings);
		if (write(3, "x", 1) != 1)
			_exit(1);
		close(3);
		for (;;)
			pause();
	}
	close(ready[1]);
	if (read(ready[0], &c, 1) != 1)
		exit(1);
	close(ready[0]);
	return pid;
}

/* ---- the bare loop ---- */

static int list_threads(pid_t pid, pid_t *ret)
{
	char path[32];
	struct dirent *de;
	DIR *dir;
	int n = 0;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	dir = opendir(path);
	while (dir && n < THREADS_MAX && (de = readdir(dir)))
		if (atoi(de->d_name) > 0)
			ret[n++] = atoi(de->d_name);
	if (dir)
		closedir(dir);
	return n;
}

static void stop_all(const pid_t *tids, int n)
{
	struct user_regs_struct regs;

	for (int i = 0; i < n; i++)
		ptrace(PTRACE_INTERRUPT, tids[i], NULL, NULL);
	for (int i = n; i-- > 0;) {
		while (waitpid(tids[i], NULL, __WALL) < 0 && errno == EINTR)
			continue;
		ptrace(PTRACE_GETREGS, tids[i], NULL, &regs);
	}
}

static double bare_ms(pid_t pid)
{
	static pid_t tids[THREADS_MAX];
	int n = list_threads(pid, tids);
	double begun;

	for (int i = 0; i < n; i++)
		ptrace(PTRACE_SEIZE, tids[i], NULL, NULL);
	begun = now_ms();
	stop_all(tids, n);
	for (int i = 0; i < n; i++)
		ptrace(PTRACE_CONT, tids[i], NULL, NULL);
	stop_all(tids, n);
	for (int i = 0; i < n; i++)
		ptrace(PTRACE_DETACH, tids[i], NULL, NULL);
	return now_ms() - begun;
}

static const char *pattern = "";

static void measure(const char *name, int threads, int mappings, int rounds, double base,
                    double goal_dump, double goal_frozen, double goal_restore)
{
	double dump[ROUNDS_MAX], frozen[ROUNDS_MAX], restore[ROUNDS_MAX], bare[ROUNDS_MAX];
	char number[16];
	pid_t pid;

	if (!strstr(name, pattern))
		return;
	pid = target = start(threads, mappings);
	snprintf(number, sizeof(number), "%d", pid);
	for (int i = 0; i < rounds; i++) {
		const char *const look[] = { crtool, "dump", "-R",   "--json", "-t",
			                     number, "-D",   images, NULL };
		const char *const save[] = { crtool, "dump", "-t", number, "-D", images, NULL };
		const char *const back[] = {
			crtool, "restore", "--json", "-d", "-D", images, NULL
		};

		bare[i] = bare_ms(pid);
		run(look);
		frozen[i] = fact(out, "\"frozen_us\"");
		remove_images();
		dump[i] = run(save);
		waitpid(pid, NULL, WNOHANG);
		restore[i] = run(back);
		remove_images();
	}
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	target = 0;
	printf("%-16s dump %7.2f ms (goal %5.1f), frozen %7.2f ms (goal %5.1f), restore %7.2f ms "
	       "(goal %5.1f); start of crtool %.2f ms",
	       name, median_of(dump, (size_t)rounds), goal_dump, median_of(frozen, (size_t)rounds),
	       goal_frozen, median_of(restore, (size_t)rounds), goal_restore, base);
	printf("; bare loop %.2f ms, ", median_of(bare, (size_t)rounds));
	printf("frozen %.1f times as long\n", frozen[rounds / 2] / bare[rounds / 2]);
}

int main(int argc, char **argv)
{
	const char *build = getenv("B");
	double base[ROUNDS_MAX];
	const char *const version[] = { crtool, "version", NULL };

	snprintf(crtool, sizeof(crtool), "%s/crtool", build ? build : "build");
	snprintf(images, sizeof(images), "/dev/shm/crtool-bench-%d", getpid());
	snprintf(out, sizeof(out), "/dev/shm/crtool-bench-%d.out", getpid());
	atexit(clean);
	signal(SIGINT, leave);
	signal(SIGTERM, leave);
	if (argc > 1)
		pattern = argv[1];
	prctl(PR_SET_CHILD_SUBREAPER, 1); /* restored targets fall to us */
	for (int i = 0; i < 15; i++)
		base[i] = run(version);
	measure("idle", 1, 0, 21, median_of(base, 15), 5, 1, 5);
	measure("100 threads", 100, 0, 9, base[7], 0, 3, 0);
	measure("1000 threads", 1000, 0, 7, base[7], 0, 30, 0);
	measure("10000 mappings", 1, 10000, 5, base[7], 200, 200, 200);
	measure("60000 mappings", 1, 60000, 3, base[7], 1200, 1200, 1200);
	return 0;
}
