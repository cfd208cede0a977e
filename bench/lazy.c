/*
 * restore --lazy of 1 GiB, beside the restore of the same program with one page, in turns: until it runs,
 * which is when crtool ends (-d). And what the first touch of a block of 64 KiB takes, on demand: nobody
 * brings it before.
 */
#include <stdint.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>

#include "bench/target.h"

#define PAGE    4096UL
#define BLOCK   (64UL << 10)
#define GIB     (1UL << 30)
#define TOUCHES 2000
#define ROUNDS  9
#define GOAL    10.0 /* ms, of all of it */

static char crtool[4096], work[128], out[160], touched[160];

/* The median of many, each in a block of its own, in us. */
static double touch(volatile char *memory)
{
	static double us[TOUCHES];

	for (size_t i = 0; i < TOUCHES; i++) {
		double begun = now_ms();

		(void)memory[i * (GIB / BLOCK / TOUCHES) * BLOCK];
		us[i] = (now_ms() - begun) * 1e3;
	}
	return median_of(us, TOUCHES);
}

/* When it is told to, it touches its memory and writes down what that took. */
static void be(void *arg)
{
	size_t size = *(size_t *)arg;
	char *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	sigset_t set;
	int sig;

	must(p != MAP_FAILED, "mmap");
	madvise(p, size, MADV_NOHUGEPAGE);
	for (size_t i = 0; i < size; i += 8)
		*(uint64_t *)(p + i) = i * 0x9e3779b97f4a7c15u;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	target_ready();
	for (;;) {
		double us;
		int fd;

		sigwait(&set, &sig);
		us = touch(p);
		fd = open(touched, O_WRONLY | O_CREAT, 0600);
		must(fd >= 0 && write(fd, &us, sizeof(us)) == sizeof(us), touched);
		close(fd);
	}
}

static pid_t save(size_t size, const char *images)
{
	pid_t pid = target_start(be, &size);
	char number[16];
	const char *const args[] = { crtool, "dump", "-t", number, "-D", images, NULL };

	snprintf(number, sizeof(number), "%d", pid);
	run_into(out, args);
	waitpid(pid, NULL, 0);
	return pid;
}

static double restore(pid_t pid, const char *images)
{
	const char *const args[] = { crtool, "restore", "-d", "--lazy", "-D", images, NULL };
	double ms = run_into(out, args);

	target_end(pid);
	return ms;
}

static double first_touch(pid_t pid, const char *images)
{
	const char *const args[] = { crtool, "restore", "-d", "--on-demand", "-D", images, NULL };
	double us = 0;
	int fd;

	run_into(out, args);
	kill(pid, SIGUSR1);
	for (fd = -1; fd < 0 || read(fd, &us, sizeof(us)) != sizeof(us); usleep(1000))
		fd = fd < 0 ? open(touched, O_RDONLY) : fd;
	close(fd);
	target_end(pid);
	return us;
}

static void places_make(char *large, char *small, size_t size)
{
	snprintf(work, sizeof(work), "/dev/shm/crtool-bench-XXXXXX");
	must(mkdtemp(work) != NULL, work);
	snprintf(out, sizeof(out), "%s/out", work);
	snprintf(touched, sizeof(touched), "%s/touched", work);
	snprintf(large, size, "%s/large", work);
	snprintf(small, size, "%s/small", work);
}

int main(void)
{
	const char *build = getenv("B");
	double large_ms[ROUNDS], small_ms[ROUNDS], ms, more, us;
	char large[160], small[160], command[256];
	pid_t large_pid, small_pid;

	snprintf(crtool, sizeof(crtool), "%s/crtool", build ? build : "build");
	places_make(large, small, sizeof(large));
	prctl(PR_SET_CHILD_SUBREAPER, 1); /* restored targets fall to us */
	small_pid = save(PAGE, small);
	large_pid = save(GIB, large);
	for (int i = 0; i < ROUNDS; i++) {
		small_ms[i] = restore(small_pid, small);
		large_ms[i] = restore(large_pid, large);
	}
	us = first_touch(large_pid, large);
	ms = median_of(large_ms, ROUNDS);
	more = ms - median_of(small_ms, ROUNDS);
	printf("restore --lazy: 1 GiB runs after %.1f ms (goal %.0f), %.1f ms later than one page "
	       "does; the first touch of 64 KiB takes %.0f us\n",
	       ms, GOAL, more, us);
	snprintf(command, sizeof(command), "rm -rf %s", work);
	must(system(command) == 0, command);
	return ms > GOAL;
}
