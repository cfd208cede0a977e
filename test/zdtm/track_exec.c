/*
 * Memory at a fixed place, the content of which tells how often there was another one: for each file "again.N" there
 * comes another process of the same number, which says so by a file "begun.N".
 *
 *	track_exec exec [N]    it executes itself
 *	track_exec respawn     its child is killed, and the next one has its number
 */
#define _GNU_SOURCE
#include <linux/sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <fcntl.h>
#include <unistd.h>

#include "zdtm.h"

#define AT    ((char *)(UINT64_C(1) << 44))
#define SIZE  (8UL << 20)
#define WORDS (SIZE / 8)

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif

/* A page in eight is the same in each. */
static uint64_t word(size_t i, int n)
{
	return (i + (i / 512 % 8 ? (uint64_t)n << 32 : 0)) * 0x9e3779b97f4a7c15u;
}

static void fill(int n)
{
	uint64_t *at = mmap(AT, SIZE, PROT_READ | PROT_WRITE,
	                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

	check((char *)at == AT);
	for (size_t i = 0; i < WORDS; i++)
		at[i] = word(i, n);
}

static void verify(int n)
{
	const uint64_t *at = (const uint64_t *)AT;

	for (size_t i = 0; i < WORDS; i++)
		check(at[i] == word(i, n));
}

static void say_begun(int n)
{
	char name[32];
	int fd;

	snprintf(name, sizeof(name), "begun.%d", n);
	fd = open(name, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
	check(fd >= 0 && close(fd) == 0);
	if (n == 0)
		zdtm_parked();
}

/* Is another one wanted? Else it is the end. */
static bool await_next(int n)
{
	char name[32];

	snprintf(name, sizeof(name), "again.%d", n + 1);
	while (access(name, F_OK) < 0) {
		if (zdtm_released())
			return false;
		zdtm_nap();
	}
	return true;
}

static void execute(int n)
{
	char text[16];

	fill(n);
	say_begun(n);
	if (!await_next(n))
		return;
	snprintf(text, sizeof(text), "%d", n + 1);
	execl("/proc/self/exe", "track_exec", "exec", text, NULL);
	check(!"exec");
}

/* The child PID, or any if that is 0. */
static pid_t spawn(pid_t pid, int n)
{
	struct clone_args args = { .exit_signal = SIGCHLD,
		                   .set_tid = pid > 0 ? (uintptr_t)&pid : 0,
		                   .set_tid_size = pid > 0 };
	pid_t child = (pid_t)syscall(SYS_clone3, &args, sizeof(args));

	check(child >= 0);
	if (child)
		return child;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	fill(n);
	say_begun(n);
	while (!zdtm_released())
		zdtm_nap();
	verify(n);
	_exit(0);
}

static void respawn(void)
{
	pid_t pid = spawn(0, 0);
	int n = 0, status;

	while (await_next(n)) {
		check(kill(pid, SIGKILL) == 0 && waitpid(pid, &status, 0) == pid);
		check(spawn(pid, ++n) == pid);
	}
	check(waitpid(pid, &status, 0) == pid && status == 0);
}

int main(int argc, char **argv)
{
	check(argc >= 2);
	if (!strcmp(argv[1], "respawn")) {
		respawn();
	} else {
		int n = argc > 2 ? atoi(argv[2]) : 0;

		execute(n);
		verify(n);
	}
	return zdtm_pass();
}
