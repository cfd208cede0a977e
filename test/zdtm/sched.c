/* Two threads with policies, affinity, I/O priority, timer slack and NUMA policy of their own. */
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/kernel.h"
#include "zdtm.h"

#define IOPRIO(class, level) ((class) << 13 | (level))
#define MPOL_BIND_STATIC     (2 | 1 << 15)
#define MPOL_LOCAL           4

struct state {
	struct kernel_sched_attr attr;
	unsigned char cpus[1024];
	long ioprio, slack;
	int mode;
	unsigned long nodes[16];
};

static pthread_barrier_t ready;
static const char *policy;

static void look(struct state *st)
{
	memset(st, 0, sizeof(*st));
	check(syscall(SYS_sched_getattr, 0, &st->attr, sizeof(st->attr), 0) == 0);
	check(syscall(SYS_sched_getaffinity, 0, sizeof(st->cpus), st->cpus) > 0);
	st->ioprio = syscall(SYS_ioprio_get, 1, 0);
	st->slack = prctl(PR_GET_TIMERSLACK);
	syscall(SYS_get_mempolicy, &st->mode, st->nodes, 1024, NULL, 0);
}

static void wait_and_compare(void (*parked)(void))
{
	struct state before, after;

	look(&before);
	pthread_barrier_wait(&ready);
	if (parked)
		parked();
	while (!zdtm_released())
		zdtm_nap();
	look(&after);
	check(!memcmp(&before, &after, sizeof(before)));
}

static void bind_to(int cpu)
{
	unsigned char cpus[8] = { (unsigned char)(1 << cpu) };

	check(syscall(SYS_sched_setaffinity, 0, sizeof(cpus), cpus) >= 0);
}

static void set_policy(struct kernel_sched_attr attr)
{
	attr.size = sizeof(attr);
	check(syscall(SYS_sched_setattr, 0, &attr, 0) == 0);
}

static void *thread(void *arg)
{
	const unsigned long node0 = 1;

	check(prctl(PR_SET_TIMERSLACK, 123456) == 0);
	check(syscall(SYS_ioprio_set, 1, 0, IOPRIO(3, 0)) == 0);
	check(syscall(SYS_set_mempolicy, MPOL_BIND_STATIC, &node0, 64) == 0);
	if (!strcmp(policy, "fifo"))
		set_policy((struct kernel_sched_attr){
			.policy = SCHED_FIFO, .priority = 3, .flags = 1 });
	else if (!strcmp(policy, "idle"))
		set_policy((struct kernel_sched_attr){ .policy = SCHED_IDLE });
	else if (!strcmp(policy, "batch"))
		set_policy((struct kernel_sched_attr){ .policy = SCHED_BATCH, .nice = 12 });
	else if (!strcmp(policy, "slice"))
		set_policy((struct kernel_sched_attr){ .runtime = 7000000 });
	else
		set_policy((struct kernel_sched_attr){ .policy = 6,
		                                       .runtime = 1000000,
		                                       .deadline = 20000000,
		                                       .period = 30000000 });
	if (strcmp(policy, "deadline") != 0)
		bind_to(0);
	wait_and_compare(NULL);
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t th;

	policy = argv[1];
	check(pthread_barrier_init(&ready, NULL, 2) == 0);
	check(pthread_create(&th, NULL, thread, NULL) == 0);
	check(setpriority(PRIO_PROCESS, 0, -5) == 0);
	check(syscall(SYS_set_mempolicy, MPOL_LOCAL, NULL, 0) == 0);
	check(syscall(SYS_ioprio_set, 1, 0, IOPRIO(2, 6)) == 0);
	check(prctl(PR_SET_TIMERSLACK, 60000) == 0);
	wait_and_compare(zdtm_parked);
	check(pthread_join(th, NULL) == 0);
	return zdtm_pass();
}
