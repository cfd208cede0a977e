/*
 * What moving memory of each shape costs: whole runs of crtool dump and restore, against plain loops that
 * move the same memory, in the same run and in turns, with one thread and with two:
 *
 *	dump     write(2), 256 KiB at a time, of such memory to fresh files, one for each thread
 *	end      kill(2) of a process with such memory until waitpid(2) has it: a dump that ends the program
 *	         cannot be over before its memory is free
 *	read     mmap, MADV_POPULATE_WRITE, read(2) of such files, mprotect(2) where there are many mappings
 *	idle     crtool dump, and restore, of a process without such memory: what a run costs anyway
 *
 * on tmpfs and (with fsync(2), as crtool does it) on a disk. Of each the time and, which a busy machine
 * changes less, the CPU time, of crtool with that of its helpers and of the restored process. The best of all rounds is
 * taken: what else runs only adds. The rows are those of doc/PERFORMANCE.md.
 *
 *	build/bench/memory_shapes [-n ROUNDS] [-s SHAPE] [-p tmpfs|disk] [MIB...]
 *
 * 64 and 1024 MiB if nothing is said; 8192 take 16 GiB of memory.
 */
#define _GNU_SOURCE
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

#include "bench/measure.h"
#include "bench/shapes.h"

#define GOAL     1.2
#define GOAL_KIB (32L << 10)
#define THREADS  2

extern char **environ;
static char crtool[4096], work[128], images[160], files[THREADS][160];
static bool syncs, over;
static int rounds = 3;

struct cost {
	double ms, cpu;
};

/* What is measured, each as the best of all rounds. */
struct times {
	struct cost write[THREADS], read[THREADS], end;
	struct runs {
		struct cost dump, restore;
	} crtool, idle;
	long kib; /* the largest size of crtool */
};

static double ms_of(const struct timespec *t)
{
	return (double)t->tv_sec * 1e3 + (double)t->tv_nsec / 1e6;
}

static double cpu_of(clockid_t clock)
{
	struct timespec t;

	must(clock_gettime(clock, &t) == 0, "CPU time");
	return ms_of(&t);
}

static void best(struct cost *c, struct cost now)
{
	if (!c->ms || now.ms < c->ms)
		c->ms = now.ms;
	if (!c->cpu || now.cpu < c->cpu)
		c->cpu = now.cpu;
}

/* ---- the plain loops, in a process of their own ---- */

static struct cost move(const struct shape *s, char *at, size_t size, size_t n, bool reads)
{
	double begun = now_ms(), cpu = cpu_of(CLOCK_PROCESS_CPUTIME_ID);
	struct part parts[THREADS];

	for (size_t i = 0; i < THREADS; i++)
		parts[i] = (struct part){ .shape = s,
			                  .path = files[i],
			                  .at = at + size / THREADS * i,
			                  .size = size / THREADS,
			                  .syncs = syncs,
			                  .reads = reads };
	for (size_t i = 0; i < n; i++)
		must(pthread_create(&parts[i].thread, NULL, part_run, &parts[i]) == 0, "thread");
	for (size_t i = 0; i < n; i++)
		pthread_join(parts[i].thread, NULL);
	for (size_t i = n; i < THREADS; i++)
		part_run(&parts[i]);
	if (reads)
		shape_cut(s, at, size);
	return (struct cost){ now_ms() - begun, cpu_of(CLOCK_PROCESS_CPUTIME_ID) - cpu };
}

static void loops(const struct shape *s, size_t size, struct times *t)
{
	char *at = shape_become(s, size);

	for (size_t n = 1; n <= THREADS; n++) {
		for (size_t i = 0; i < THREADS; i++)
			unlink(files[i]);
		best(&t->write[n - 1], move(s, at, size, n, false));
	}
	munmap(at, shape_size(s, size));
	for (size_t n = 1; n <= THREADS; n++) {
		at = s->fresh(shape_size(s, size));
		best(&t->read[n - 1], move(s, at, size, n, true));
		munmap(at, shape_size(s, size));
	}
	for (size_t i = 0; i < THREADS; i++)
		unlink(files[i]);
}

/* Its memory is gone when it is. */
static void loops_measure(const struct shape *s, size_t size, struct times *t)
{
	int answer[2], status;
	pid_t pid;

	must(pipe(answer) == 0, "pipe");
	pid = fork();
	if (pid == 0) {
		loops(s, size, t);
		must(write(answer[1], t, sizeof(*t)) == sizeof(*t), "answer");
		_exit(0);
	}
	close(answer[1]);
	must(read(answer[0], t, sizeof(*t)) == sizeof(*t), "plain loops");
	close(answer[0]);
	must(waitpid(pid, &status, 0) == pid && status == 0, "plain loops");
}

/* ---- crtool ---- */

static struct cost run(const char *const args[], long *kib)
{
	double begun = now_ms();
	struct rusage u;
	int status;
	pid_t pid;

	must(posix_spawn(&pid, crtool, NULL, NULL, (char *const *)args, environ) == 0, crtool);
	must(wait4(pid, &status, 0, &u) == pid && status == 0, args[1]);
	if (u.ru_maxrss > *kib)
		*kib = u.ru_maxrss;
	return (struct cost){ now_ms() - begun,
		              (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1e3 +
		                      (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e3 };
}

static void target_run(const struct shape *s, size_t size, int told)
{
	int null = open("/dev/null", O_RDWR);

	setsid();
	dup2(told, 1000);
	dup2(null, 0), dup2(null, 1), dup2(null, 2);
	for (int fd = 3; fd < 1000; fd++)
		close(fd);
	if (s)
		shape_become(s, size);
	must(write(1000, "x", 1) == 1, "ready");
	close(1000);
	for (;;)
		pause();
}

static pid_t target_start(const struct shape *s, size_t size)
{
	int ready[2];
	pid_t pid;
	char c;

	must(pipe(ready) == 0, "pipe");
	pid = fork();
	if (pid == 0)
		target_run(s, size, ready[1]);
	close(ready[1]);
	must(read(ready[0], &c, 1) == 1, "target");
	close(ready[0]);
	usleep(100000);
	return pid;
}

/* PID has read its memory itself; before that it began anew. */
static double target_cpu(pid_t pid)
{
	clockid_t clock;

	must(clock_getcpuclockid(pid, &clock) == 0, "CPU time of the restored process");
	return cpu_of(clock);
}

/* What the helpers of PID, who is a zombie, took: they have been its only children. */
static double helpers_cpu(pid_t pid)
{
	unsigned long long user = 0, system = 0;
	char path[32];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	f = fopen(path, "re");
	must(f && fscanf(f,
	                 "%*d (%*[^)]) %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %llu "
	                 "%llu",
	                 &user, &system) == 2,
	     path);
	fclose(f);
	return (double)(user + system) * 1e3 / (double)sysconf(_SC_CLK_TCK);
}

/*
 * A host gives memory that was free for a while anew, at a fault of its own for each page: not what
 * is to be measured. What this child takes and gives back is given next.
 */
static void warm(const struct shape *s, size_t size, bool file)
{
	static char block[BLOCK];
	pid_t pid = s ? fork() : -1;
	int fd;

	if (pid > 0)
		waitpid(pid, NULL, 0);
	if (pid)
		return;
	if (!file) {
		shape_become(s, size);
		_exit(0);
	}
	fd = open(files[0], O_WRONLY | O_CREAT | O_TRUNC, 0600);
	for (size_t at = 0; at < size / s->stride; at += BLOCK)
		must(write(fd, block, BLOCK) == (ssize_t)BLOCK, "write");
	unlink(files[0]);
	_exit(0);
}

static void end_measure(const struct shape *s, size_t size, struct times *t)
{
	pid_t pid = target_start(s, size);
	double begun = now_ms();

	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	best(&t->end, (struct cost){ now_ms() - begun, 0 });
}

/* S: NULL: no memory. */
static void crtool_measure(const struct shape *s, size_t size, struct runs *r, long *kib)
{
	pid_t pid = target_start(s, size);
	char number[16], command[256];
	const char *const save[] = { crtool, "dump", "-t", number, "-D", images, NULL };
	const char *const back[] = { crtool, "restore", "-d", "-D", images, NULL };
	struct cost dump, restore;

	snprintf(number, sizeof(number), "%d", pid);
	snprintf(command, sizeof(command), "rm -rf %s", images);
	warm(s, size, true);
	dump = run(save, kib);
	dump.cpu += helpers_cpu(pid);
	best(&r->dump, dump);
	waitpid(pid, NULL, 0);
	warm(s, size, false);
	restore = run(back, kib);
	restore.cpu += target_cpu(pid);
	best(&r->restore, restore);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	must(system(command) == 0, command);
}

/* ---- the table ---- */

static double faster(const struct cost c[THREADS])
{
	return c[0].ms < c[1].ms ? c[0].ms : c[1].ms;
}

/* Rows of restores are told when those of dumps have been. */
static char restores[16384];

static void row(const struct shape *s, size_t size, const char *place, const struct times *t)
{
	double write = faster(t->write), read = faster(t->read);
	double write_cpu = t->write[1].cpu, read_cpu = t->read[1].cpu;
	const struct cost *dump = &t->crtool.dump, *restore = &t->crtool.restore;
	size_t told = strlen(restores);

	printf("| %zu MiB | %s | %s | %.0f | %.0f | %.0f | %.1f | %.0f | %.2f | %.2f | %.0f | %.0f "
	       "| %.2f | %.1f |\n",
	       size / MIB, s->name, place, t->write[0].ms, t->write[1].ms, t->end.ms,
	       t->idle.dump.ms, dump->ms, dump->ms / write,
	       dump->ms / (write + t->end.ms + t->idle.dump.ms), write_cpu, dump->cpu,
	       dump->cpu / write_cpu, (double)t->kib / 1024);
	snprintf(restores + told, sizeof(restores) - told,
	         "| %zu MiB | %s | %s | %.0f | %.0f | %.1f | %.0f | %.2f | %.2f | %.0f | %.0f | "
	         "%.2f |\n",
	         size / MIB, s->name, place, t->read[0].ms, t->read[1].ms, t->idle.restore.ms,
	         restore->ms, restore->ms / read, restore->ms / (read + t->idle.restore.ms),
	         read_cpu, restore->cpu, restore->cpu / read_cpu);
	over |= t->kib > GOAL_KIB;
	/* What is small is mostly what a run costs anyway. */
	over |= size > 512 * MIB &&
	        (dump->cpu / write_cpu > GOAL || restore->cpu / read_cpu > GOAL);
}

static void measure(const struct shape *s, size_t size, const char *place)
{
	struct times t = {};

	/* The first round makes the machine give us the memory. */
	for (int i = -1; i < rounds; i++) {
		struct times none = {}, *to = i < 0 ? &none : &t;

		loops_measure(s, size, to);
		end_measure(s, size, to);
		crtool_measure(s, size, &to->crtool, &to->kib);
		crtool_measure(NULL, 0, &to->idle, &to->kib);
	}
	row(s, size, place, &t);
}

static void table(size_t size, const char *dir, const char *place, const char *only)
{
	snprintf(work, sizeof(work), "%s/crtool-bench-XXXXXX", dir);
	must(mkdtemp(work) != NULL, work);
	snprintf(images, sizeof(images), "%s/images", work);
	for (int i = 0; i < THREADS; i++)
		snprintf(files[i], sizeof(files[i]), "%s/part-%d", work, i);
	for (size_t k = 0; k < sizeof(shapes) / sizeof(*shapes); k++)
		if (!only || strstr(shapes[k].name, only))
			measure(&shapes[k], size, place);
	rmdir(work);
}

int main(int argc, char **argv)
{
	static const char *const places[][2] = { { "/dev/shm", "tmpfs" }, { "/var/tmp", "disk" } };
	static char *usual[] = { (char *)"64", (char *)"1024", NULL };
	const char *build = getenv("B"), *only = NULL, *where = NULL;
	int c;

	while ((c = getopt(argc, argv, "n:s:p:")) != -1) {
		must(c != '?', "usage");
		rounds = c == 'n' ? atoi(optarg) : rounds;
		only = c == 's' ? optarg : only;
		where = c == 'p' ? optarg : where;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	snprintf(crtool, sizeof(crtool), "%s/crtool", build ? build : "build");
	prctl(PR_SET_CHILD_SUBREAPER, 1); /* restored targets fall to us */
	puts("| size | memory | where | write | two | end | idle | dump | ratio | with end, idle "
	     "| CPU: write | dump | ratio | MiB of crtool |");
	puts("|---|---|---|---|---|---|---|---|---|---|---|---|---|---|");
	for (char **size = optind < argc ? argv + optind : usual; *size; size++)
		for (int i = 0; i < 2; i++) {
			syncs = i == 1;
			if (!where || !strcmp(where, places[i][1]))
				table(strtoul(*size, NULL, 10) * MIB, places[i][0], places[i][1],
				      only);
		}
	puts("\n| size | memory | where | read | two | idle | restore | ratio | with idle "
	     "| CPU: read | restore | ratio |");
	printf("|---|---|---|---|---|---|---|---|---|---|---|---|\n%s", restores);
	return over;
}
