/* A process that is dumped and restored, and runs of crtool. */
#pragma once

#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>

#include "bench/measure.h"

extern char **environ;

/* Run ARGS, its output into the file OUT; its time in ms. A failure ends the bench. */
static inline double run_into(const char *out, const char *const args[])
{
	posix_spawn_file_actions_t files;
	double begun = now_ms();
	int status;
	pid_t pid;

	posix_spawn_file_actions_init(&files);
	posix_spawn_file_actions_addopen(&files, 1, out, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	must(posix_spawn(&pid, args[0], &files, NULL, (char *const *)args, environ) == 0, args[0]);
	must(waitpid(pid, &status, 0) == pid && status == 0, args[1]);
	posix_spawn_file_actions_destroy(&files);
	return now_ms() - begun;
}

/* Nobody stays behind, however the bench ends. */
static pid_t target_pid;

static inline void target_kill(void)
{
	if (target_pid > 0)
		kill(target_pid, SIGKILL);
}

static inline void target_leave(int sig)
{
	target_kill();
	_exit(128 + sig);
}

/*
 * BE(ARG), in a session of its own, with nothing open but /dev/null; target_ready() says that it is. One at a time; it
 * may be dumped, and come back with its number.
 */
static inline pid_t target_start(void (*be)(void *arg), void *arg)
{
	int ready[2];
	pid_t pid;
	char c;

	if (!target_pid)
		atexit(target_kill);
	signal(SIGINT, target_leave);
	signal(SIGTERM, target_leave);

	must(pipe(ready) == 0, "pipe");
	pid = fork();
	if (pid == 0) {
		int null = open("/dev/null", O_RDWR);

		target_pid = 0;
		signal(SIGINT, SIG_DFL);
		signal(SIGTERM, SIG_DFL);
		setsid();
		dup2(ready[1], 3);
		dup2(null, 0), dup2(null, 1), dup2(null, 2);
		closefrom(4);
		be(arg);
		_exit(1);
	}
	target_pid = pid;
	close(ready[1]);
	must(read(ready[0], &c, 1) == 1, "target");
	close(ready[0]);
	return pid;
}

static inline void target_ready(void)
{
	must(write(3, "x", 1) == 1, "ready");
	close(3);
}

static inline void target_end(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	target_pid = -1;
}

static inline int compare_ms(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static inline double median_of(double *v, size_t n)
{
	qsort(v, n, sizeof(*v), compare_ms);
	return v[n / 2];
}
