/*
 * Rights: "user" has other ids than root, "mixed" all ids different, "caps"
 * some capabilities, an ambient one among them, and locked securebits,
 * "thread" a thread with rights of its own, "keyring" a process keyring,
 * "parent" a grandchild that wants a signal when its parent ends.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "zdtm.h"

#define SECUREBITS (SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_KEEP_CAPS)

static pthread_barrier_t ready;

/* All that status says about rights, and what prctl(2) adds. */
static void rights(char *buf, size_t size)
{
	static const char *const keys[] = { "Uid", "Gid", "Groups", "Cap", "NoNewPrivs" };
	char path[64], line[256];
	int pdeathsig;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/task/%d/status", gettid());
	f = fopen(path, "re");
	check(f && prctl(PR_GET_PDEATHSIG, &pdeathsig) == 0);
	snprintf(buf, size, "%d %d %d\n", prctl(PR_GET_SECUREBITS), prctl(PR_GET_DUMPABLE),
	         pdeathsig);
	while (fgets(line, sizeof(line), f))
		for (unsigned i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
			if (!strncmp(line, keys[i], strlen(keys[i])))
				strncat(buf, line, size - strlen(buf) - 1);
	fclose(f);
}

/* The raw calls: those of libc change all threads. */
static void become(unsigned uid, unsigned euid, unsigned suid)
{
	const gid_t groups[] = { 7, 1234567, 42 };

	check(syscall(SYS_setgroups, 3, groups) == 0);
	check(syscall(SYS_setresgid, uid + 1, euid + 1, suid + 1) == 0);
	check(syscall(SYS_setresuid, uid, euid, suid) == 0);
}

static void limit_caps(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];

	check(syscall(SYS_capget, &head, data) == 0);
	data[0].inheritable = 1u << CAP_NET_RAW | 1u << CAP_CHOWN;
	data[0].permitted &= ~(1u << CAP_SYS_BOOT);
	data[0].effective &= ~(1u << CAP_SYS_TIME | 1u << CAP_SYS_BOOT);
	check(syscall(SYS_capset, &head, data) == 0);
	check(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_NET_RAW, 0, 0) == 0);
	check(prctl(PR_CAPBSET_DROP, CAP_CHOWN) == 0); /* still inheritable */
	check(prctl(PR_CAPBSET_DROP, CAP_SYS_BOOT) == 0);
	check(prctl(PR_SET_SECUREBITS, SECUREBITS) == 0);
}

static void *thread(void *arg)
{
	char before[2048], after[2048];

	if (arg)
		check(syscall(SYS_add_key, "user", "crtool", "secret", 6, -1) > 0 ||
		      errno == ENOSYS);
	become(3000, 3000, 3000);
	check(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	pthread_barrier_wait(&ready);
	rights(before, sizeof(before));
	while (!zdtm_released())
		zdtm_nap();
	rights(after, sizeof(after));
	check(!strcmp(before, after));
	return NULL;
}

static void set_up(const char *what, const char *more, pthread_t *th)
{
	if (!strcmp(what, "user"))
		become(1000, 1000, 1000);
	else if (!strcmp(what, "mixed"))
		become(1000, 0, 2000);
	else if (!strcmp(what, "keyring"))
		check(syscall(SYS_add_key, "user", "crtool", "secret", 6, -2) > 0 ||
		      errno == ENOSYS);
	else if (!strcmp(what, "caps"))
		limit_caps();
	else
		check(pthread_create(th, NULL, thread, (void *)more) == 0);
}

static int to_root[2];
static volatile sig_atomic_t bereft;

static void on_death(int sig)
{
	bereft = sig;
}

static void leaf(void)
{
	int before = 0, after = 0;

	check(signal(SIGUSR2, on_death) != SIG_ERR);
	check(prctl(PR_SET_PDEATHSIG, SIGUSR2) == 0 && prctl(PR_GET_PDEATHSIG, &before) == 0);
	check(write(to_root[1], "<", 1) == 1);
	while (!bereft)
		usleep(2000);
	check(zdtm_released() && bereft == SIGUSR2);
	check(prctl(PR_GET_PDEATHSIG, &after) == 0 && after == before);
	check(write(to_root[1], ">", 1) == 1);
}

/* Between the root and the leaf, until the release. */
static void parent(void)
{
	pid_t child = fork();

	check(child >= 0);
	if (child == 0) {
		leaf();
		_exit(0);
	}
	while (!zdtm_released())
		zdtm_nap();
	_exit(0);
}

static int park_parent(void)
{
	pid_t child;
	int status;
	char c;

	check(pipe(to_root) == 0);
	child = fork();
	check(child >= 0);
	if (child == 0)
		parent();
	check(read(to_root[0], &c, 1) == 1 && c == '<');
	zdtm_park();
	check(waitpid(child, &status, 0) == child && status == 0);
	check(read(to_root[0], &c, 1) == 1 && c == '>');
	return zdtm_pass();
}

int main(int argc, char **argv)
{
	bool with_thread = !strcmp(argv[1], "thread");
	char before[2048], after[2048];
	pthread_t th;

	if (!strcmp(argv[1], "parent"))
		return park_parent();
	check(pthread_barrier_init(&ready, NULL, 2) == 0);
	set_up(argv[1], argv[2], &th);
	if (!strcmp(argv[1], "user"))
		check(setfsuid(1000) == 1000 && prctl(PR_SET_DUMPABLE, argc > 2) == 0);
	if (with_thread)
		pthread_barrier_wait(&ready);
	rights(before, sizeof(before));
	zdtm_park();
	rights(after, sizeof(after));
	if (strcmp(before, after))
		dprintf(2, "before:\n%safter:\n%s", before, after);
	check(!strcmp(before, after));
	if (with_thread)
		check(pthread_join(th, NULL) == 0);
	return zdtm_pass();
}
