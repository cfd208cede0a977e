/*
 * Child subreaper, membarrier registrations, oom_score_adj and autogroup; "ldt": a local descriptor
 * table; "few": the registration for one kind of barrier only; "orphan": the autogroup of sessions whose
 * leaders are gone, of which one is a zombie.
 */
#include <asm/ldt.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/membarrier.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "zdtm.h"

#define GET_REGISTRATIONS (1 << 9)
#define TIMER_RESTORE_IDS 77

static long registrations(void)
{
	return syscall(SYS_membarrier, GET_REGISTRATIONS, 0, 0);
}

static void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	check(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text) && close(fd) == 0);
}

static ssize_t write_try(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	ssize_t n = write(fd, text, strlen(text));

	close(fd);
	return n;
}

static void expect_end(const char *path, const char *end)
{
	char text[128];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

	check(n > 0 && close(fd) == 0);
	text[n] = '\0';
	check((size_t)n >= strlen(end) && !strcmp(text + n - strlen(end), end));
}

static void expect_autogroup(const char *who, const char *nice)
{
	char path[64], end[32];

	snprintf(path, sizeof(path), "/proc/%s/autogroup", who);
	snprintf(end, sizeof(end), " nice %s\n", nice);
	expect_end(path, end);
}

/* Any entry makes a table. */
static void make_ldt(void)
{
	const struct user_desc entry = { .limit = 1, .seg_32bit = 1 };

	check(syscall(SYS_modify_ldt, 1, &entry, sizeof(entry)) == 0);
}

static int barrier(int command)
{
	return syscall(SYS_membarrier, command, 0, 0) == 0 ? 0 : errno;
}

static int few(void)
{
	int sync_core;

	check(barrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_RSEQ) == 0);
	sync_core = barrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE);
	zdtm_park();
	check(barrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ) == 0);
	check(barrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED) == EPERM);
	check(barrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE) == sync_core);
	return zdtm_pass();
}

/* A session with an autogroup of NICE; its leader ends, and its child falls to us. */
static pid_t orphan(const char *nice, pid_t *ret_leader)
{
	pid_t *child = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	siginfo_t si;

	check(child != MAP_FAILED);
	*ret_leader = fork();
	if (*ret_leader == 0) {
		pid_t pid;

		check(setsid() > 0);
		while (write_try("/proc/self/autogroup", nice) < 0)
			usleep(20000); /* one in a tenth of a second */
		pid = fork();
		if (pid == 0) {
			while (!zdtm_released())
				zdtm_nap();
			expect_autogroup("self", nice);
			_exit(0);
		}
		*child = pid;
		_exit(0);
	}
	check(waitid(P_PID, (id_t)*ret_leader, &si, WEXITED | WNOWAIT) == 0);
	return *child;
}

static int orphans(void)
{
	pid_t leader[2], child[2];
	int status;

	check(prctl(PR_SET_CHILD_SUBREAPER, 1) == 0);
	for (int i = 0; i < 2; i++)
		child[i] = orphan(i ? "-3" : "11", &leader[i]);
	check(waitpid(leader[0], NULL, 0) == leader[0]);
	zdtm_park();
	check(waitpid(leader[1], NULL, 0) == leader[1]);
	for (int i = 0; i < 2; i++)
		check(waitpid(child[i], &status, 0) == child[i] && status == 0);
	return zdtm_pass();
}

int main(int argc, char **argv)
{
	bool autogroup = access("/proc/self/autogroup", F_OK) == 0;
	int subreaper = 0;
	long before, timer_ids;

	if (argc > 1 && !strcmp(argv[1], "few"))
		return few();
	if (argc > 1 && !strcmp(argv[1], "orphan"))
		return autogroup ? orphans() : 77;
	if (argc > 1)
		make_ldt();
	timer_ids = prctl(TIMER_RESTORE_IDS, 1, 0, 0, 0) == 0;
	check(prctl(PR_SET_CHILD_SUBREAPER, 1) == 0);
	check(syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0);
	syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED, 0, 0);
	syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE, 0, 0);
	syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_RSEQ, 0, 0);
	before = registrations();
	write_file("/proc/self/oom_score_adj", "321");
	if (autogroup)
		write_file("/proc/self/autogroup", "7");

	zdtm_park();

	check(prctl(PR_GET_CHILD_SUBREAPER, &subreaper) == 0 && subreaper == 1);
	check(registrations() == before);
	check(!timer_ids || prctl(TIMER_RESTORE_IDS, 2, 0, 0, 0) == 1);
	check(syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) == 0);
	expect_end("/proc/self/oom_score_adj", "321\n");
	if (autogroup)
		expect_autogroup("self", "7");
	return zdtm_pass();
}
