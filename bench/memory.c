/*
 * What moving memory costs: the dump of a large process to tmpfs and its
 * restore, against plain loops that move as many bytes, in the same run and
 * in turns:
 *
 *	dump     write(2) of resident memory, 256 KiB at a time, to a fresh file
 *	restore  mmap, MADV_POPULATE_WRITE, pread(2) of that file
 *
 * Both of crtool are whole runs of the program, checksums and all. And how
 * much memory crtool itself takes, for much memory, many mappings, many runs.
 */
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench/target.h"

#define PAGE     4096UL
#define BLOCK    (256UL << 10)
#define GIB      (1UL << 30)
#define ROUNDS   7
#define GOAL     0.80
#define GOAL_KIB (32L << 10)

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

static char crtool[4096], images[64], plain[64];
static bool over;

/* Memory that no compression helps with: every STRIDE-th page of SIZE bytes. */
static char *random_memory(size_t size, size_t stride)
{
	uint64_t *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t x = 88172645463325252u;

	must(p != MAP_FAILED, "mmap");
	for (size_t at = 0; at < size; at += stride * PAGE)
		for (size_t i = 0; i < PAGE / 8; i++) {
			x ^= x << 13, x ^= x >> 7, x ^= x << 17;
			p[at / 8 + i] = x;
		}
	return (char *)p;
}

/* ---- the plain loops, in a process of their own that stays ---- */

struct loops {
	int ask, answer;
	pid_t pid;
};

static double loop_write(const char *from)
{
	int fd = open(plain, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	double begun = now_ms();

	for (size_t i = 0; i < GIB; i += BLOCK)
		must(write(fd, from + i, BLOCK) == (ssize_t)BLOCK, "write");
	close(fd);
	return now_ms() - begun;
}

static double loop_read(void)
{
	int fd = open(plain, O_RDONLY);
	double begun = now_ms();
	char *to = mmap(NULL, GIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	must(to != MAP_FAILED && madvise(to, GIB, MADV_POPULATE_WRITE) == 0, "populate");
	for (size_t i = 0; i < GIB; i += BLOCK)
		must(pread(fd, to + i, BLOCK, (off_t)i) == (ssize_t)BLOCK, "pread");
	begun = now_ms() - begun;
	munmap(to, GIB);
	close(fd);
	unlink(plain);
	return begun;
}

static void loops_start(struct loops *l)
{
	int ask[2], answer[2];
	char what;

	must(pipe2(ask, O_CLOEXEC) == 0 && pipe2(answer, O_CLOEXEC) == 0, "pipe");
	l->pid = fork();
	if (l->pid == 0) {
		const char *from = random_memory(GIB, 1);

		close(ask[1]);
		while (read(ask[0], &what, 1) == 1) {
			double ms = what == 'w' ? loop_write(from) : loop_read();

			must(write(answer[1], &ms, sizeof(ms)) == sizeof(ms), "answer");
		}
		_exit(0);
	}
	close(ask[0]);
	close(answer[1]);
	l->ask = ask[1], l->answer = answer[0];
}

static double loops_run(const struct loops *l, char what)
{
	double ms = 0;

	must(write(l->ask, &what, 1) == 1 && read(l->answer, &ms, sizeof(ms)) == sizeof(ms),
	     "plain loop");
	return ms;
}

/* ---- crtool ---- */

/* Its time in ms; its largest size so far in *KIB. */
static double run(const char *const args[], long *kib)
{
	struct rusage used;
	double begun = now_ms();
	int status;
	pid_t pid;

	must(posix_spawn(&pid, crtool, NULL, NULL, (char *const *)args, environ) == 0, crtool);
	must(wait4(pid, &status, 0, &used) == pid && status == 0, args[1]);
	begun = now_ms() - begun;
	if (used.ru_maxrss > *kib)
		*kib = used.ru_maxrss;
	return begun;
}

/* A process that has what BECOME makes of SIZE. */
struct wanted {
	void (*become)(size_t);
	size_t size;
};

static void be_wanted(void *arg)
{
	const struct wanted *w = arg;

	w->become(w->size);
	target_ready();
	for (;;)
		pause();
}

static pid_t start(void (*become)(size_t), size_t size)
{
	struct wanted w = { become, size };
	pid_t pid = target_start(be_wanted, &w);

	usleep(100000);
	return pid;
}

/* Dump PID and restore it. */
static void round_trip(pid_t pid, double *ret_dump, double *ret_restore, long *dump_kib,
                       long *restore_kib)
{
	char number[16], command[128];
	const char *const save[] = { crtool, "dump", "-t", number, "-D", images, NULL };
	const char *const back[] = { crtool, "restore", "-d", "-D", images, NULL };

	snprintf(number, sizeof(number), "%d", pid);
	snprintf(command, sizeof(command), "rm -rf %s", images);
	*ret_dump = run(save, dump_kib);
	waitpid(pid, NULL, 0);
	*ret_restore = run(back, restore_kib);
	must(system(command) == 0, command);
}

/* ---- what is measured ---- */

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static double median(double *v)
{
	qsort(v, ROUNDS, sizeof(*v), compare);
	return v[ROUNDS / 2];
}

static void report(const char *name, double *plain_ms, double *own_ms)
{
	double base = median(plain_ms), own = median(own_ms);

	printf("%-8s 1 GiB: plain loop %4.0f ms, crtool %4.0f ms: %.2f of its speed (goal %.2f)\n",
	       name, base, own, base / own, GOAL);
	over |= base / own < GOAL;
}

static void become_memory(size_t size)
{
	random_memory(size, 1);
}

static void measure_speed(void)
{
	double writes[ROUNDS], reads[ROUNDS], dumps[ROUNDS], restores[ROUNDS];
	struct loops loops;
	long kib = 0;
	pid_t pid;

	loops_start(&loops);
	pid = start(become_memory, GIB);
	/* The first round makes the machine give us the memory. */
	for (int i = -1; i < ROUNDS; i++) {
		int at = i < 0 ? 0 : i;

		writes[at] = loops_run(&loops, 'w');
		reads[at] = loops_run(&loops, 'r');
		round_trip(pid, &dumps[at], &restores[at], &kib, &kib);
	}
	target_end(pid);
	close(loops.ask);
	waitpid(loops.pid, NULL, 0);
	report("dump", writes, dumps);
	report("restore", reads, restores);
}

static void become_mappings(size_t n)
{
	char *p = mmap(NULL, n * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	for (size_t i = 0; i < n; i++) {
		p[i * PAGE] = 'x';
		if (i & 1)
			must(mprotect(p + i * PAGE, PAGE, PROT_READ) == 0, "mprotect");
	}
}

static void become_runs(size_t n)
{
	random_memory(n * 2 * PAGE, 2);
}

static void measure_size(const char *name, void (*become)(size_t), size_t size)
{
	double dump, restore;
	long dump_kib = 0, restore_kib = 0;
	pid_t pid = start(become, size);

	round_trip(pid, &dump, &restore, &dump_kib, &restore_kib);
	target_end(pid);
	printf("%-16s dump %5.0f ms, %5ld KiB; restore %5.0f ms, %5ld KiB (goal %ld KiB)\n", name,
	       dump, dump_kib, restore, restore_kib, GOAL_KIB);
	over |= dump_kib > GOAL_KIB || restore_kib > GOAL_KIB;
}

int main(void)
{
	const char *build = getenv("B");

	setvbuf(stdout, NULL, _IOLBF, 0);
	snprintf(crtool, sizeof(crtool), "%s/crtool", build ? build : "build");
	snprintf(images, sizeof(images), "/dev/shm/crtool-bench-%d", getpid());
	snprintf(plain, sizeof(plain), "/dev/shm/crtool-bench-%d.plain", getpid());
	prctl(PR_SET_CHILD_SUBREAPER, 1); /* restored targets fall to us */
	measure_speed();
	measure_size("1 GiB", become_memory, GIB);
	measure_size("10000 mappings", become_mappings, 10000);
	measure_size("60000 mappings", become_mappings, 60000);
	measure_size("100000 runs", become_runs, 100000);
	measure_size("500000 runs", become_runs, 500000);
	return over;
}
