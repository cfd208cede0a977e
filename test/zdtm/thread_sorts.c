/*
 * Many threads that are mostly alike: what few of them have besides, and what is of each alone, stays theirs.
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/mempolicy.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "zdtm.h"

#define THREADS 150
#define STACK   32768

static int ready;

struct state {
	pid_t tid;
	void *robust_list;
	size_t robust_size;
	int *tid_address;
	char name[16];
	stack_t stack;
	unsigned long slack, persona;
	int nnp, mce, seccomp, policy;
	unsigned long nodes[16];
	gid_t group;
	sigset_t pending;
};

static void take(struct state *s)
{
	memset(s, 0, sizeof(*s));
	s->tid = (pid_t)syscall(SYS_gettid);
	check(syscall(SYS_get_robust_list, 0, &s->robust_list, &s->robust_size) == 0);
	check(prctl(PR_GET_TID_ADDRESS, &s->tid_address) == 0);
	check(prctl(PR_GET_NAME, s->name) == 0);
	check(sigaltstack(NULL, &s->stack) == 0);
	s->slack = (unsigned long)prctl(PR_GET_TIMERSLACK);
	s->persona = (unsigned long)personality(0xffffffff);
	s->nnp = prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0);
	s->mce = prctl(PR_MCE_KILL_GET, 0, 0, 0, 0);
	s->seccomp = prctl(PR_GET_SECCOMP);
	check(syscall(SYS_get_mempolicy, &s->policy, s->nodes, 1024, NULL, 0) == 0 ||
	      errno == ENOSYS);
	check(syscall(SYS_getgroups, 1, &s->group) >= 0 || errno == EINVAL);
	check(sigpending(&s->pending) == 0);
}

static void filter(void)
{
	struct sock_filter all = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	const struct sock_fprog prog = { 1, &all };

	check(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog) == 0);
}

static void pend(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	check(pthread_sigmask(SIG_BLOCK, &set, NULL) == 0);
	check(pthread_kill(pthread_self(), SIGUSR1) == 0);
}

static void be_special(size_t i)
{
	const stack_t stack = { .ss_sp = malloc(STACK), .ss_size = STACK };
	const unsigned long node = 1;
	gid_t group = (gid_t)(1000 + i);

	check(i % 2 || sigaltstack(&stack, NULL) == 0);
	if (i % 5 == 1)
		pend();
	check(i % 7 != 2 || prctl(PR_SET_TIMERSLACK, 1000 * i) == 0);
	check(i % 13 != 4 || syscall(SYS_setgroups, 1, &group) == 0);
	check(i % 17 != 5 || personality(ADDR_NO_RANDOMIZE) != -1);
	check(i % 19 != 6 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	if (i % 23 == 7)
		filter();
	check(i % 29 != 8 || syscall(SYS_set_mempolicy, MPOL_PREFERRED, &node, 64) == 0 ||
	      errno == ENOSYS);
	check(i % 31 != 9 || prctl(PR_MCE_KILL, PR_MCE_KILL_SET, PR_MCE_KILL_EARLY, 0, 0) == 0);
}

static void *live(void *arg)
{
	struct state before, now;
	char name[16];

	snprintf(name, sizeof(name), "sort\\ %zu\n", (size_t)arg);
	check(pthread_setname_np(pthread_self(), name) == 0);
	be_special((size_t)arg);
	take(&before);
	__atomic_add_fetch(&ready, 1, __ATOMIC_SEQ_CST);
	while (!zdtm_released())
		zdtm_nap();
	take(&now);
	check(!memcmp(&before, &now, sizeof(now)));
	check(!strcmp(now.name, name));
	return NULL;
}

/* Without arguments all are special; with one all are alike. */
static void *wait_alike(void *arg)
{
	__atomic_add_fetch(&ready, 1, __ATOMIC_SEQ_CST);
	while (!zdtm_released())
		zdtm_nap();
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t threads[THREADS];

	for (size_t i = 0; i < THREADS; i++)
		check(pthread_create(&threads[i], NULL, argc > 1 ? wait_alike : live, (void *)i) ==
		      0);
	while (__atomic_load_n(&ready, __ATOMIC_SEQ_CST) < THREADS)
		zdtm_nap();
	zdtm_park();
	for (size_t i = 0; i < THREADS; i++)
		check(pthread_join(threads[i], NULL) == 0);
	return zdtm_pass();
}
