/*
 * The functions of the vDSO, by the addresses that the program knows of old. "gone": it has unmapped the vDSO, and
 * what that reads; "moved": they are elsewhere.
 */
#include <errno.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "zdtm.h"

static double seconds(const struct timespec *t)
{
	return (double)t->tv_sec + (double)t->tv_nsec / 1e9;
}

/* The vDSO and the kernel agree. */
static void verify(void)
{
	static const clockid_t clocks[] = { CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_BOOTTIME,
		                            CLOCK_REALTIME_COARSE, CLOCK_MONOTONIC_COARSE };
	struct timeval tv;
	unsigned cpu;

	for (size_t i = 0; i < sizeof(clocks) / sizeof(*clocks); i++) {
		struct timespec fast, slow;

		check(clock_gettime(clocks[i], &fast) == 0);
		check(syscall(SYS_clock_gettime, clocks[i], &slow) == 0);
		check(seconds(&fast) <= seconds(&slow) && seconds(&slow) - seconds(&fast) < 2);
		check(clock_getres(clocks[i], &fast) == 0);
	}
	check(gettimeofday(&tv, NULL) == 0 && labs(tv.tv_sec - time(NULL)) < 2);
	check(getcpu(&cpu, NULL) == 0 && cpu < 4096);
}

struct area {
	char *start;
	size_t size;
	bool is_vdso;
};

/* The mappings of the kernel: vvar, vvar_vclock, vdso, which lie side by side. */
static size_t find_areas(struct area *areas, size_t max)
{
	FILE *f = fopen("/proc/self/maps", "re");
	char line[512], name[64];
	unsigned long start, end;
	size_t n = 0;

	check(f);
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "%lx-%lx %*s %*s %*s %*s [v%63s", &start, &end, name) == 3 &&
		    strcmp(name, "syscall]") != 0 && n < max)
			areas[n++] =
				(struct area){ (char *)start, end - start, !strcmp(name, "dso]") };
	fclose(f);
	check(n >= 2);
	return n;
}

/* Nothing of libc that asks the vDSO may be called from here on. */
static int without(bool moved)
{
	struct area areas[4];
	size_t n = find_areas(areas, 4), all = 0;
	char *first = areas[0].start, *to;

	for (size_t i = 0; i < n; i++)
		all += areas[i].size;
	to = mmap(NULL, all, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	check(to != MAP_FAILED && munmap(to, all) == 0);
	for (size_t i = 0; i < n; i++) {
		char *at = areas[i].start, *now = to + (at - first);

		if (moved)
			check(mremap(at, areas[i].size, areas[i].size,
			             MREMAP_MAYMOVE | MREMAP_FIXED, now) == now);
		else
			check(munmap(at, areas[i].size) == 0);
	}

	zdtm_park();

	for (size_t i = 0; i < n; i++) {
		char *at = areas[i].start;

		check(msync(at, areas[i].size, MS_ASYNC) < 0 && errno == ENOMEM);
		check(!moved || !areas[i].is_vdso || *(volatile char *)(to + (at - first)) == 0x7f);
	}
	return zdtm_pass();
}

int main(int argc, char **argv)
{
	unsigned long at = getauxval(AT_SYSINFO_EHDR);

	if (argc > 1)
		return without(!strcmp(argv[1], "moved"));

	verify();

	zdtm_park();

	verify();
	check(getauxval(AT_SYSINFO_EHDR) == at && *(const char *)at == 0x7f);
	return zdtm_pass();
}
