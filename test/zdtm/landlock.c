/*
 * landlock LAYERS [nnp] [seccomp|limited|restored|thread LAYERS|child LAYERS]: in so many Landlock domains, or
 * none. What counted them has left nothing behind: no signal, child, thread, descriptor or layer. "limited" can have no
 * other thread meanwhile, "restored" has lost the sandbox in the end,
 * "thread" has another thread in so many on its own, "child" a child.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "zdtm.h"

static int add_layer(void)
{
	const struct landlock_ruleset_attr attr = { .handled_access_fs =
		                                            LANDLOCK_ACCESS_FS_MAKE_CHAR };
	int fd = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof(uint64_t), 0);
	int r;

	check(fd >= 0);
	r = (int)syscall(SYS_landlock_restrict_self, fd, 0);
	check(close(fd) == 0);
	return r;
}

static int free_layers(void)
{
	pid_t pid = fork();
	int status, n = 0;

	check(pid >= 0);
	if (pid == 0) {
		prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
		while (add_layer() == 0)
			n++;
		_exit(n);
	}
	check(waitpid(pid, &status, 0) == pid && WIFEXITED(status));
	return WEXITSTATUS(status);
}

static int entries(const char *path)
{
	DIR *dir = opendir(path);
	int n = 0;

	check(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

static void filter(void)
{
	struct sock_filter allow[] = { BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW) };
	const struct sock_fprog prog = { 1, allow };

	check(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog) == 0);
}

/* Nobody can be made by this user, or by us, any more; with SOFT again. */
static void limit_threads(rlim_t soft)
{
	struct rlimit limit;

	check(getrlimit(RLIMIT_NPROC, &limit) == 0);
	limit.rlim_cur = soft ? soft : limit.rlim_max;
	check(setrlimit(RLIMIT_NPROC, &limit) == 0);
	check(soft == 0 || setresuid(54321, 54321, 54321) == 0);
}

static pthread_barrier_t ready;

static void *confined(void *layers)
{
	for (int i = 0; i < *(int *)layers; i++)
		check(add_layer() == 0);
	pthread_barrier_wait(&ready);
	for (;;)
		pause();
}

static pid_t add_child(int layers)
{
	int confined_by[2];
	pid_t pid;
	char c;

	check(pipe(confined_by) == 0);
	pid = fork();
	check(pid >= 0);
	if (pid) {
		check(read(confined_by[0], &c, 1) == 1);
		close(confined_by[0]);
		close(confined_by[1]);
		return pid;
	}
	for (int i = 0; i < layers; i++)
		check(add_layer() == 0);
	check(write(confined_by[1], "x", 1) == 1);
	close(confined_by[0]);
	close(confined_by[1]);
	while (!zdtm_released())
		zdtm_nap();
	check(free_layers() == 16 - layers);
	_exit(0);
}

static void add_thread(int layers)
{
	pthread_t thread;

	pthread_barrier_init(&ready, NULL, 2);
	check(pthread_create(&thread, NULL, confined, &layers) == 0);
	pthread_barrier_wait(&ready);
}

int main(int argc, char **argv)
{
	int layers = argc > 1 ? atoi(argv[1]) : 0, left, nnp = argc > 2, threads, fds, status;
	const char *how = argc > 3 ? argv[3] : "";
	pid_t child;
	sigset_t set;

	if (argc > 1 && !strcmp(argv[1], "--probe"))
		return syscall(SYS_landlock_create_ruleset, NULL, 0, 1) <= 0;
	if (argc > 2)
		check(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	for (int i = 0; i < layers; i++)
		check(add_layer() == 0);
	left = free_layers();
	check(left == 16 - layers);
	if (!strcmp(how, "seccomp"))
		filter();
	if (!strcmp(how, "limited"))
		limit_threads(1);
	if (!strcmp(how, "thread"))
		add_thread(atoi(argv[4]));
	child = strcmp(how, "child") ? 0 : add_child(atoi(argv[4]));
	threads = entries("/proc/self/task");
	close(STDIN_FILENO); /* the first that is free */
	check(dup2(1, 7) == 7);
	fds = entries("/proc/self/fd");
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	check(sigprocmask(SIG_BLOCK, &set, NULL) == 0);

	zdtm_park();

	check(sigpending(&set) == 0 && (child || !sigismember(&set, SIGCHLD)));
	check(!child || (waitpid(child, &status, 0) == child && status == 0));
	check(waitpid(-1, NULL, __WALL) < 0 && errno == ECHILD);
	check(entries("/proc/self/task") == threads && entries("/proc/self/fd") == fds);
	check(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == nnp);
	limit_threads(0);
	check(free_layers() == (strcmp(how, "restored") ? left : 16));
	return zdtm_pass();
}
