/*
 * What it costs to know what was written to: arming and scanning 1 GiB of 4 KiB pages, for which the program
 * stands still (track_us of a pre-dump), for the first time and when much of it was written to since; and
 * the first write to each page afterwards, beside the second one, in the same program.
 */
#include <stdint.h>
#include <sys/mman.h>

#include "bench/target.h"

#define PAGE    4096UL
#define GIB     (1UL << 30)
#define WRITTEN (256UL << 20)
#define ROUNDS  5
#define AGAIN   3    /* times that each target is scanned */
#define GOAL_MS 10.0 /* to arm, to scan */
#define GOAL_US 2.0  /* the first write to a page, more than the second */

/* Shared with the target, which is never restored. */
struct talk {
	volatile int asked, answered;
	double us; /* of a write */
};

static struct talk *talk;
static char crtool[4096], work[128], out[160];

static double write_pages(char *memory)
{
	double begun = now_ms();

	for (size_t i = 0; i < WRITTEN; i += PAGE)
		memory[i]++;
	return (now_ms() - begun) * 1e3 / (WRITTEN / PAGE);
}

static void be(void *arg)
{
	char *p = mmap(NULL, GIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	must(p != MAP_FAILED, "mmap");
	madvise(p, GIB, MADV_NOHUGEPAGE);
	for (size_t i = 0; i < GIB; i += PAGE)
		*(uint64_t *)(p + i) = i + 1;
	target_ready();
	for (;; usleep(1000))
		if (talk->asked != talk->answered) {
			talk->us = write_pages(p);
			talk->answered = talk->asked;
		}
}

static double ask(void)
{
	talk->asked++;
	while (talk->answered != talk->asked)
		usleep(1000);
	return talk->us;
}

/* The time that it took to arm, in ms. */
static double pre_dump(pid_t pid, int n)
{
	char number[16], images[160], before[16];
	const char *const args[] = { crtool, "pre-dump", "--json", "-t",
		                     number, "-D",       images,   n ? "--prev-images-dir" : NULL,
		                     before, NULL };

	snprintf(number, sizeof(number), "%d", pid);
	snprintf(images, sizeof(images), "%s/%d", work, n);
	snprintf(before, sizeof(before), "../%d", n - 1);
	run_into(out, args);
	return fact(out, "\"track_us\"");
}

struct figures {
	double arm[ROUNDS], scan[ROUNDS * AGAIN], first[ROUNDS * AGAIN];
};

static void measure(struct figures *f, int round)
{
	char command[256];
	pid_t pid = target_start(be, NULL);

	f->arm[round] = pre_dump(pid, 0);
	for (int i = 0; i < AGAIN; i++) {
		double first = ask(), second = ask();

		f->first[round * AGAIN + i] = first - second;
		f->scan[round * AGAIN + i] = pre_dump(pid, i + 1);
	}
	target_end(pid);
	snprintf(command, sizeof(command), "rm -rf %s/?", work);
	must(system(command) == 0, command);
}

int main(void)
{
	const char *build = getenv("B");
	double arm, scan, first;
	struct figures f = {};

	snprintf(crtool, sizeof(crtool), "%s/crtool", build ? build : "build");
	snprintf(work, sizeof(work), "/dev/shm/crtool-bench-XXXXXX");
	must(mkdtemp(work) != NULL, work);
	snprintf(out, sizeof(out), "%s/out", work);
	talk = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	must(talk != MAP_FAILED, "mmap");
	for (int i = 0; i < ROUNDS; i++)
		measure(&f, i);
	arm = median_of(f.arm, ROUNDS);
	scan = median_of(f.scan, ROUNDS * AGAIN);
	first = median_of(f.first, ROUNDS * AGAIN);
	printf("1 GiB of 4 KiB pages: armed for the first time in %.1f ms (at best %.1f), scanned "
	       "in %.1f ms, "
	       "a quarter of it written (at best %.1f; goal %.0f); the first write to a page takes "
	       "%.2f us "
	       "more than the second (goal %.0f)\n",
	       arm, f.arm[0], scan, f.scan[0], GOAL_MS, first, GOAL_US);
	unlink(out);
	rmdir(work);
	return arm > GOAL_MS || scan > GOAL_MS || first > GOAL_US;
}
