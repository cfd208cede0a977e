/*
 * The kernel notes the numbers of processes in SysV objects. As long as the tree is not there, its numbers are
 * free: a short-lived process of that number does what shall bear it. It costs a fork, so it does all that.
 */
#include <errno.h>
#include <linux/sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "restore/numbers.h"
#include "restore/sysv.h"

/* RET: where the answers go. */
static void run(const struct sysv_job *jobs, size_t n, int *ret)
{
	for (size_t i = 0; i < n; i++) {
		ret[i] = jobs[i].fn(jobs[i].arg);
		if (ret[i] < 0)
			return;
	}
}

/* -EAGAIN: there is no process of that number to be had. */
static int run_as(pid_t pid, const struct sysv_job *jobs, size_t n, int *ret)
{
	struct clone_args args = { .exit_signal = SIGCHLD,
		                   .set_tid = (uint64_t)&pid,
		                   .set_tid_size = 1 };
	long child = pid > 1 && pid != getpid() ? clone_when_free(&args) : -1;
	int status = 0;

	if (child == 0) {
		run(jobs, n, ret);
		_exit(0);
	}
	if (child < 0)
		return -EAGAIN;
	while (waitpid((pid_t)child, &status, 0) < 0 && errno != ECHILD)
		continue;
	if (!WIFEXITED(status))
		ret[0] = -ECHILD;
	return 0;
}

/* The answers, in memory that is shared with these processes, are -ECANCELED so far. */
static int run_all(const struct sysv_job *jobs, size_t n, int *ret)
{
	for (size_t i = 0, k; i < n; i += k) {
		for (k = 1; i + k < n && jobs[i + k].pid == jobs[i].pid;)
			k++;
		if (run_as(jobs[i].pid, jobs + i, k, ret + i) < 0)
			run(jobs + i, k, ret + i);
		for (size_t j = i; j < i + k; j++)
			if (ret[j] < 0)
				return ret[j];
	}
	return 0;
}

int sysv_as_all(struct sysv_job *jobs, size_t n)
{
	size_t size = (n + 1) * sizeof(int);
	int *ret = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0), r;

	for (size_t i = 0; i < n; i++)
		jobs[i].ret = -ENOMEM;
	if (ret == MAP_FAILED)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		ret[i] = -ECANCELED;
	r = run_all(jobs, n, ret);
	for (size_t i = 0; i < n; i++)
		jobs[i].ret = ret[i];
	munmap(ret, size);
	return r;
}

int sysv_as(pid_t pid, int (*fn)(const void *arg), const void *arg)
{
	struct sysv_job job = { pid, fn, arg, 0 };

	sysv_as_all(&job, 1);
	return job.ret;
}
