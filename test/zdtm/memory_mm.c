/* What belongs to the address space as a whole. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "zdtm.h"

#ifndef PR_SET_MDWE
#define PR_SET_MDWE 65
#define PR_GET_MDWE 66
#endif
#ifndef PR_SET_MEMORY_MERGE
#define PR_SET_MEMORY_MERGE 67
#define PR_GET_MEMORY_MERGE 68
#endif

#define THP_EXCEPT_ADVISED 2
#define MDWE_NO_INHERIT    3 /* with PR_MDWE_REFUSE_EXEC_GAIN */

struct mm {
	char auxv[1024], exe[4096], cmdline[4096], environ[8192], filter[16];
	char stat[256]; /* start_code and all behind it that does not move */
	void *heap;
	int thp, merge, mdwe;
};
static struct mm before, after;

static void slurp(const char *path, char *buf, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	check(fd >= 0 && read(fd, buf, size) > 0);
	close(fd);
}

/* Fields 26 to 28 and 45 to 51. */
static void take_stat(char *ret, size_t size)
{
	char text[2048] = "", *at = text, *save = NULL;
	int n = 2;

	slurp("/proc/self/stat", text, sizeof(text) - 1);
	at = strrchr(text, ')') + 2;
	for (char *f = strtok_r(at, " ", &save); f; f = strtok_r(NULL, " ", &save))
		if (n++, (n >= 26 && n <= 28) || (n >= 45 && n <= 51))
			strncat(ret, f, size - strlen(ret) - 1),
				strncat(ret, " ", size - strlen(ret) - 1);
}

static void take(struct mm *m)
{
	memset(m, 0, sizeof(*m));
	slurp("/proc/self/auxv", m->auxv, sizeof(m->auxv));
	slurp("/proc/self/cmdline", m->cmdline, sizeof(m->cmdline));
	slurp("/proc/self/environ", m->environ, sizeof(m->environ));
	slurp("/proc/self/coredump_filter", m->filter, sizeof(m->filter));
	check(readlink("/proc/self/exe", m->exe, sizeof(m->exe)) > 0);
	take_stat(m->stat, sizeof(m->stat));
	m->heap = sbrk(0);
	m->thp = prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0);
	m->merge = prctl(PR_GET_MEMORY_MERGE, 0, 0, 0, 0);
	m->mdwe = prctl(PR_GET_MDWE, 0, 0, 0, 0);
}

/* mlockall(MCL_FUTURE): a new page is there before it is touched. */
static bool locks_future(void)
{
	unsigned char there = 0;
	char *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	check(p != MAP_FAILED && mincore(p, 4096, &there) == 0 && munmap(p, 4096) == 0);
	return there & 1;
}

static long locked_kb(void)
{
	char status[4096] = "";
	const char *at;

	slurp("/proc/self/status", status, sizeof(status) - 1);
	at = strstr(status, "VmLck:");
	check(at);
	return atol(at + 6);
}

/* mlockall(MCL_FUTURE | MCL_ONFAULT): a new page is not there before, but counts as locked. */
static bool locks_on_fault(void)
{
	long had = locked_kb();
	unsigned char there = 1;
	bool locked;
	char *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	check(p != MAP_FAILED && mincore(p, 4096, &there) == 0);
	locked = locked_kb() > had && !(there & 1);
	check(munmap(p, 4096) == 0);
	return locked;
}

static int on_fault(void)
{
	check(!locks_on_fault());
	check(mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) == 0 && locks_on_fault());
	zdtm_park();
	check(locks_on_fault());
	return zdtm_pass();
}

/* MDWE: memory that may be written to can be made executable no more. */
static bool denies_exec(void)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	bool denied;

	check(p != MAP_FAILED);
	denied = mprotect(p, 4096, PROT_READ | PROT_EXEC) < 0;
	check(munmap(p, 4096) == 0);
	return denied;
}

int main(int argc, char **argv)
{
	bool all = argc > 1;
	struct timespec t;
	int fd = open("/proc/self/coredump_filter", O_WRONLY | O_CLOEXEC);

	if (all && !strcmp(argv[1], "onfault"))
		return on_fault();
	if (all && !strcmp(argv[1], "flags")) { /* of newer kernels */
		if (prctl(PR_SET_THP_DISABLE, 1, THP_EXCEPT_ADVISED, 0, 0) < 0 ||
		    prctl(PR_SET_MDWE, MDWE_NO_INHERIT, 0, 0, 0) < 0)
			return 77;
		all = false;
	} else if (all) {
		check(write(fd, "0x7f", 4) == 4);
		check(prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0) == 0);
		prctl(PR_SET_MEMORY_MERGE, 1, 0, 0, 0);
		prctl(PR_SET_MDWE, 1, 0, 0, 0);
		check(mlockall(MCL_FUTURE) == 0);
	}
	close(fd);
	check(locks_future() == all);
	check(denies_exec() == (prctl(PR_GET_MDWE, 0, 0, 0, 0) > 0));
	take(&before);

	zdtm_park();

	take(&after);
	check(!strcmp(before.exe, after.exe));
	check(!strcmp(before.stat, after.stat));
	check(!memcmp(&before, &after, sizeof(before)));
	check(locks_future() == all && denies_exec() == (before.mdwe > 0));
	check(!all || before.thp == 1);
	check(getauxval(AT_SYSINFO_EHDR) && clock_gettime(CLOCK_MONOTONIC, &t) == 0);
	return zdtm_pass();
}
