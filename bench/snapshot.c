/*
 * dump -R --snapshot of 1 GiB that is written to all the time: how long the tree stands still, beside a bare
 * fork(2) of as much memory, and how many of its writes a writer of 50,000 random pages a second still makes
 * while the copy is written.
 */
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench/target.h"

#define PAGE   4096UL
#define GIB    (1UL << 30)
#define RATE   50000.0 /* pages a second */
#define KEPT   0.5     /* of the writer's speed */
#define FIXED  1.0     /* ms that any dump takes */
#define ROUNDS 5

static atomic_ulong *written; /* shared with the writer */
static char crtool[4096], images[64];

static _Noreturn void die(const char *what)
{
	perror(what);
	exit(2);
}

/* As many pages as are due since it began; behind schedule it does not catch up. */
static _Noreturn void write_pages(char *memory)
{
	uint64_t x = 88172645463325252u;
	double due = now_ms();

	for (;;) {
		double now = now_ms();

		if (now < due) {
			usleep(200);
			continue;
		}
		if (now > due + 5)
			due = now - 5;
		due += 1e3 / RATE;
		x ^= x << 13, x ^= x >> 7, x ^= x << 17;
		memory[x % GIB] ^= 1;
		atomic_fetch_add(written, 1);
	}
}

static void be_writer(void *arg)
{
	const int *advice = arg;
	char *p = mmap(NULL, GIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	must(p != MAP_FAILED, "mmap");
	madvise(p, GIB, *advice);
	for (size_t i = 0; i < GIB; i += PAGE)
		*(uint64_t *)(p + i) = i + 1;
	target_ready();
	write_pages(p);
}

static double writes_in(double ms)
{
	unsigned long before = atomic_load(written);
	double begun = now_ms();

	usleep((useconds_t)(ms * 1e3));
	return (double)(atomic_load(written) - before) / (now_ms() - begun);
}

/* The time for which PID stood still, in ms. */
static double snapshot(pid_t pid)
{
	char command[8192], line[4096] = "";
	const char *at;
	FILE *out;

	snprintf(command, sizeof(command), "%s dump -R --snapshot --json -t %d -D %s", crtool, pid,
	         images);
	out = popen(command, "r");
	if (!out || !fread(line, 1, sizeof(line) - 1, out) || pclose(out) != 0)
		die(command);
	at = strstr(line, "\"frozen_us\":");
	if (!at)
		die(line);
	snprintf(command, sizeof(command), "rm -rf %s", images);
	return system(command) == 0 ? strtod(at + strlen("\"frozen_us\":"), NULL) / 1e3 : 0;
}

/* Of as much such memory, in ms. */
static double bare_fork(int advice)
{
	char *p = mmap(NULL, GIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	double begun;
	pid_t pid;

	must(p != MAP_FAILED, "mmap");
	madvise(p, GIB, advice);
	for (size_t i = 0; i < GIB; i += PAGE)
		p[i] = 1;
	begun = now_ms();
	pid = fork();
	if (pid == 0)
		_exit(0);
	begun = now_ms() - begun;
	waitpid(pid, NULL, 0);
	munmap(p, GIB);
	return begun;
}

static bool measure(const char *name, int advice, double goal)
{
	pid_t pid;
	double best = 1e9, least = 1e9, bare = 1e9;

	atomic_store(written, 0);
	pid = target_start(be_writer, &advice);
	for (int i = 0; i < ROUNDS; i++) {
		double alone = writes_in(500), begun = now_ms();
		unsigned long before = atomic_load(written);
		double frozen = snapshot(pid);
		double kept = (double)(atomic_load(written) - before) / (now_ms() - begun) / alone;

		best = frozen < best ? frozen : best;
		frozen = bare_fork(advice);
		bare = frozen < bare ? frozen : bare;
		least = kept < least ? kept : least;
	}
	target_end(pid);
	printf("%-14s 1 GiB: frozen %5.1f ms at best (goal %4.1f; a bare fork %4.1f), the writer "
	       "keeps %3.0f %% at worst (goal %.0f %%)\n",
	       name, best, goal + FIXED, bare, least * 100, KEPT * 100);
	return best <= goal + FIXED && least >= KEPT;
}

int main(void)
{
	const char *build = getenv("B");
	bool good;

	setvbuf(stdout, NULL, _IOLBF, 0);
	snprintf(crtool, sizeof(crtool), "%s/crtool", build ? build : "build");
	snprintf(images, sizeof(images), "/dev/shm/crtool-bench-%d", getpid());
	written = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (written == MAP_FAILED)
		die("mmap");
	good = measure("4 KiB pages", MADV_NOHUGEPAGE, 15);
	return !(measure("huge pages", MADV_HUGEPAGE, 2) && good);
}
