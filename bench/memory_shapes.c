/*
 * What moving memory of each shape costs: whole runs of crtool dump and restore, against plain loops that
 * move as many bytes, in the same run and in turns:
 *
 *	dump     write(2), 256 KiB at a time, to fresh files: one pass, and two halves in parallel
 *	restore  mmap, MADV_POPULATE_WRITE, pread(2) of such a file
 *
 * on tmpfs and (with fsync(2), as crtool does it) on a disk. Of each the time and, which a busy machine
 * changes less, the CPU time, of crtool with that of the restored process. The rows are those of doc/PERFORMANCE.md.
 *
 *	build/bench/memory_shapes [MIB...]	these sizes; 64 and 1024. 8192 take 16 GiB of memory
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stddef.h>
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

#define PAGE     4096UL
#define BLOCK    (256UL << 10)
#define MIB      (1UL << 20)
#define HUGE     (2UL << 20)
#define MAPPINGS 10000UL
#define ROUNDS   3
#define GOAL     1.2

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

extern char **environ;
static char crtool[4096], work[128], images[160], halves[2][160];
static bool syncs, over;

struct cost {
	double ms, cpu;
};

static double cpu_of(const struct rusage *u)
{
	return (double)(u->ru_utime.tv_sec + u->ru_stime.tv_sec) * 1e3 +
	       (double)(u->ru_utime.tv_usec + u->ru_stime.tv_usec) / 1e3;
}

static double own_cpu(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return cpu_of(&u);
}

/* ---- the shapes ---- */

/* Every STRIDE-th page, with what no compression helps. */
static void fill(char *p, size_t size, size_t stride)
{
	uint64_t x = 88172645463325252u;

	for (size_t at = 0; at < size; at += stride * PAGE)
		for (size_t i = 0; i < PAGE; i += 8) {
			x ^= x << 13, x ^= x >> 7, x ^= x << 17;
			memcpy(p + at + i, &x, 8);
		}
}

static char *map(size_t size, int how, int fd)
{
	char *p = mmap(NULL, size, PROT_READ | PROT_WRITE, how, fd, 0);

	must(p != MAP_FAILED, "mmap");
	return p;
}

static void small_pages(size_t size)
{
	char *p = map(size, MAP_PRIVATE | MAP_ANONYMOUS, -1);

	madvise(p, size, MADV_NOHUGEPAGE);
	fill(p, size, 1);
}

static void huge_pages(size_t size)
{
	char *p = map(size + HUGE, MAP_PRIVATE | MAP_ANONYMOUS, -1);

	p += -(uintptr_t)p % HUGE;
	madvise(p, size, MADV_HUGEPAGE);
	fill(p, size, 1);
}

static void every_8th(size_t size)
{
	char *p = map(size, MAP_PRIVATE | MAP_ANONYMOUS, -1);

	madvise(p, size, MADV_NOHUGEPAGE);
	fill(p, size, 8);
}

static void mappings(size_t size)
{
	size_t each = (size / MAPPINGS + PAGE - 1) / PAGE * PAGE;
	char *p = map(each * MAPPINGS, MAP_PRIVATE | MAP_ANONYMOUS, -1);

	madvise(p, each * MAPPINGS, MADV_NOHUGEPAGE);
	fill(p, size, 1);
	for (size_t i = 0; i < MAPPINGS; i += 2)
		must(mprotect(p + i * each, each, PROT_READ) == 0, "mprotect");
}

static void shared(size_t size)
{
	fill(map(size, MAP_SHARED | MAP_ANONYMOUS, -1), size, 1);
}

static void memfd(size_t size)
{
	int fd = memfd_create("bench", 0);

	must(fd >= 0 && ftruncate(fd, (off_t)size) == 0, "memfd");
	fill(map(size, MAP_SHARED, fd), size, 1);
	must(dup2(fd, 3) == 3, "dup2");
}

static const struct shape {
	const char *name;
	void (*become)(size_t);
	size_t share; /* one in so many bytes is there */
} shapes[] = {
	{ "4K pages", small_pages, 1 },     { "huge pages", huge_pages, 1 },
	{ "every 8th page", every_8th, 8 }, { "10,000 mappings", mappings, 1 },
	{ "shared, anonymous", shared, 1 }, { "memfd", memfd, 1 },
};

/* ---- the plain loops ---- */

struct half {
	const char *to, *from;
	size_t size, source;
	pthread_t thread;
};

static void *write_half(void *arg)
{
	const struct half *h = arg;
	int fd = open(h->to, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	must(fd >= 0, h->to);
	for (size_t i = 0; i < h->size; i += BLOCK) {
		size_t n = h->size - i < BLOCK ? h->size - i : BLOCK;

		must(write(fd, h->from + i % h->source, n) == (ssize_t)n, "write");
	}
	must(!syncs || fsync(fd) == 0, "fsync");
	close(fd);
	return NULL;
}

/* SIZE bytes from SOURCE, which is larger than the caches, by N threads. */
static struct cost plain_write(const char *from, size_t source, size_t size, size_t n)
{
	double begun = now_ms(), cpu = own_cpu();
	struct half h[2];

	for (size_t i = 0; i < n; i++) {
		h[i] = (struct half){ halves[i], from, size / n, source, 0 };
		must(pthread_create(&h[i].thread, NULL, write_half, &h[i]) == 0, "thread");
	}
	for (size_t i = 0; i < n; i++)
		pthread_join(h[i].thread, NULL);
	return (struct cost){ now_ms() - begun, own_cpu() - cpu };
}

static struct cost plain_read(size_t size)
{
	int fd = open(halves[0], O_RDONLY);
	double begun = now_ms(), cpu = own_cpu();
	struct cost c;
	char *to = map(size, MAP_PRIVATE | MAP_ANONYMOUS, -1);

	must(madvise(to, size, MADV_POPULATE_WRITE) == 0, "populate");
	for (size_t i = 0; i < size; i += BLOCK) {
		size_t n = size - i < BLOCK ? size - i : BLOCK;

		must(pread(fd, to + i, n, (off_t)i) == (ssize_t)n, "pread");
	}
	c = (struct cost){ now_ms() - begun, own_cpu() - cpu };
	munmap(to, size);
	close(fd);
	return c;
}

/* ---- crtool ---- */

static struct cost run(const char *const args[])
{
	double begun = now_ms();
	struct rusage u;
	int status;
	pid_t pid;

	must(posix_spawn(&pid, crtool, NULL, NULL, (char *const *)args, environ) == 0, crtool);
	must(wait4(pid, &status, 0, &u) == pid && status == 0, args[1]);
	return (struct cost){ now_ms() - begun, cpu_of(&u) };
}

static pid_t target_start(const struct shape *s, size_t size)
{
	int ready[2];
	pid_t pid;
	char c;

	must(pipe(ready) == 0, "pipe");
	pid = fork();
	if (pid == 0) {
		int null = open("/dev/null", O_RDWR), told = dup2(ready[1], 1000);

		setsid();
		closefrom(told + 1);
		for (int fd = 3; fd < told; fd++)
			if (fd != null)
				close(fd);
		dup2(null, 0), dup2(null, 1), dup2(null, 2);
		close(null);
		s->become(size);
		must(write(told, "x", 1) == 1, "ready");
		closefrom(4);
		for (;;)
			pause();
	}
	close(ready[1]);
	must(read(ready[0], &c, 1) == 1, "target");
	close(ready[0]);
	usleep(100000);
	return pid;
}

struct times {
	struct cost write1, write2, dump, read, restore;
};

static struct times measure(const struct shape *s, size_t size, const char *from, size_t source)
{
	pid_t pid = target_start(s, size);
	char number[16], command[256];
	const char *const save[] = { crtool, "dump", "-t", number, "-D", images, NULL };
	const char *const back[] = { crtool, "restore", "-d", "-D", images, NULL };
	struct rusage u;
	struct times t;

	snprintf(number, sizeof(number), "%d", pid);
	snprintf(command, sizeof(command), "rm -rf %s", images);
	t.dump = run(save);
	waitpid(pid, NULL, 0);
	t.restore = run(back);
	kill(pid, SIGKILL);
	/* It has read its memory itself; before that it began anew. */
	wait4(pid, NULL, 0, &u);
	t.restore.cpu += cpu_of(&u);
	must(system(command) == 0, command);
	t.write2 = plain_write(from, source, size / s->share, 2);
	unlink(halves[0]), unlink(halves[1]);
	t.write1 = plain_write(from, source, size / s->share, 1);
	t.read = plain_read(size / s->share);
	unlink(halves[0]);
	return t;
}

/* ---- the table ---- */

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

/* Of the field at OFFSET. */
static struct cost median(const struct times *t, size_t offset)
{
	double ms[ROUNDS], cpu[ROUNDS];

	for (int i = 0; i < ROUNDS; i++) {
		struct cost c;

		memcpy(&c, (const char *)&t[i] + offset, sizeof(c));
		ms[i] = c.ms, cpu[i] = c.cpu;
	}
	qsort(ms, ROUNDS, sizeof(*ms), compare);
	qsort(cpu, ROUNDS, sizeof(*cpu), compare);
	return (struct cost){ ms[ROUNDS / 2], cpu[ROUNDS / 2] };
}

#define MEDIAN(t, field) median(t, offsetof(struct times, field))

static void row(const struct shape *s, size_t size, const char *place, const struct times *t)
{
	struct cost w1 = MEDIAN(t, write1), w2 = MEDIAN(t, write2), dump = MEDIAN(t, dump);
	struct cost read = MEDIAN(t, read), restore = MEDIAN(t, restore);
	double best = w1.ms < w2.ms ? w1.ms : w2.ms;

	printf("| %zu MiB | %s | %s | %.0f | %.0f | %.0f | %.2f | %.0f | %.0f | %.2f ", size / MIB,
	       s->name, place, w1.ms, w2.ms, dump.ms, dump.ms / best, read.ms, restore.ms,
	       restore.ms / read.ms);
	printf("| %.0f | %.0f | %.2f | %.0f | %.0f | %.2f |\n", w1.cpu, dump.cpu, dump.cpu / w1.cpu,
	       read.cpu, restore.cpu, restore.cpu / read.cpu);
	/* What is small is mostly what a run costs anyway. */
	over |= size > 512 * MIB && (dump.ms / best > GOAL || restore.ms / read.ms > GOAL);
}

static void table(size_t size, const char *place)
{
	size_t source = 256 * MIB;
	char *from = map(source, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	struct times t[ROUNDS];

	fill(from, source, 1);
	snprintf(images, sizeof(images), "%s/images", work);
	for (int i = 0; i < 2; i++)
		snprintf(halves[i], sizeof(halves[i]), "%s/half-%d", work, i);
	for (size_t k = 0; k < sizeof(shapes) / sizeof(*shapes); k++) {
		/* The first round makes the machine give us the memory. */
		for (int i = -1; i < ROUNDS; i++)
			t[i < 0 ? 0 : i] = measure(&shapes[k], size, from, source);
		row(&shapes[k], size, place, t);
	}
	munmap(from, source);
}

int main(int argc, char **argv)
{
	static const char *const places[][2] = { { "/dev/shm", "tmpfs" }, { "/var/tmp", "disk" } };
	static char *usual[] = { NULL, (char *)"64", (char *)"1024", NULL };
	const char *build = getenv("B");

	setvbuf(stdout, NULL, _IOLBF, 0);
	snprintf(crtool, sizeof(crtool), "%s/crtool", build ? build : "build");
	prctl(PR_SET_CHILD_SUBREAPER, 1); /* restored targets fall to us */
	puts("ms; behind it ms of CPU time");
	puts("| size | memory | where | write | write, two | dump | ratio | populate, read | "
	     "restore | ratio "
	     "| write | dump | ratio | populate, read | restore | ratio |");
	puts("|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|");
	for (char **size = argc > 1 ? argv + 1 : usual + 1; *size; size++)
		for (int i = 0; i < 2; i++) {
			snprintf(work, sizeof(work), "%s/crtool-bench-XXXXXX", places[i][0]);
			must(mkdtemp(work) != NULL, work);
			syncs = i == 1;
			table(strtoul(*size, NULL, 10) * MIB, places[i][1]);
			rmdir(work);
		}
	return over;
}
