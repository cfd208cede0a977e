/*
 * Many processes of one parent, each of which has set one thing that only itself can be asked about, or nothing: what
 * one answers is taken for the others, as far as it is theirs. With "late" they do it when somebody makes the file
 * "change", and say so by "changed".
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/keyctl.h>
#include <linux/mempolicy.h>
#include <mqueue.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/sem.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "zdtm.h"

#define EACH 2
#define PAGE 4096UL
#define LATE 1000 /* seconds: no timer comes to its end */

struct shared {
	int change, done, verify;
	int undone; /* children whose semaphore is to be 0 in the end */
};

static struct shared *shared;
static char *page;
static int sem;

/* ---- what a child can say of itself ---- */

struct state {
	struct {
		uint64_t handler, flags, restorer, mask;
	} actions[64];
	void *top;
	stack_t altstack;
	bool timers[3];
	long interval;
	long prctls[16];
	int outs[4]; /* what prctl(2) writes instead */
	int personality, mode, page_mode;
	unsigned long nodes[16];
	uid_t uid[3];
	gid_t gid[3], groups[4];
	mode_t umask;
	struct __user_cap_data_struct caps[2];
	int bound, ambient; /* by CAP_SYSLOG */
	char name[16];
	long membarrier;
	unsigned char locked;
	bool pending;
	sigset_t mask;
	int policy;
};

static struct state was, is;

static void take_prctls(struct state *s)
{
	static const int asked[] = { PR_GET_DUMPABLE,   PR_GET_KEEPCAPS,    PR_GET_SECUREBITS,
		                     PR_GET_TIMERSLACK, PR_GET_THP_DISABLE, PR_GET_NO_NEW_PRIVS,
		                     PR_MCE_KILL_GET,   PR_GET_IO_FLUSHER,  PR_GET_SECCOMP };

	for (size_t i = 0; i < sizeof(asked) / sizeof(asked[0]); i++)
		s->prctls[i] = prctl(asked[i], 0, 0, 0, 0);
	s->prctls[12] = prctl(PR_GET_SPECULATION_CTRL, PR_SPEC_STORE_BYPASS, 0, 0, 0);
	s->prctls[13] = prctl(68 /* PR_GET_MEMORY_MERGE */, 0, 0, 0, 0);
	s->prctls[14] = prctl(66 /* PR_GET_MDWE */, 0, 0, 0, 0);
	prctl(PR_GET_CHILD_SUBREAPER, &s->outs[0]);
	prctl(PR_GET_PDEATHSIG, &s->outs[1]);
	prctl(PR_GET_TSC, &s->outs[2]);
}

/* Would memory that is mapped now be locked? */
static unsigned char is_locked(void)
{
	void *p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	bool locked = p != MAP_FAILED && madvise(p, PAGE, MADV_DONTNEED) < 0 && errno == EINVAL;

	check(p != MAP_FAILED && munmap(p, PAGE) == 0);
	return locked;
}

static void take_rights(struct state *s)
{
	struct __user_cap_header_struct head = { _LINUX_CAPABILITY_VERSION_3, 0 };

	check(getresuid(&s->uid[0], &s->uid[1], &s->uid[2]) == 0);
	check(getresgid(&s->gid[0], &s->gid[1], &s->gid[2]) == 0);
	getgroups(4, s->groups);
	s->umask = umask(0);
	umask(s->umask);
	check(syscall(SYS_capget, &head, s->caps) == 0);
	s->bound = prctl(PR_CAPBSET_READ, CAP_SYSLOG);
	s->ambient = prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, CAP_SYSLOG, 0, 0);
}

static void take(struct state *s)
{
	struct itimerval timer;
	sigset_t pending;

	memset(s, 0, sizeof(*s));
	for (int sig = 1; sig <= 64; sig++)
		syscall(SYS_rt_sigaction, sig, NULL, &s->actions[sig - 1], 8);
	s->top = sbrk(0);
	check(sigaltstack(NULL, &s->altstack) == 0);
	for (int i = 0; i < 3; i++) {
		check(getitimer(i, &timer) == 0);
		s->timers[i] = timer.it_value.tv_sec || timer.it_value.tv_usec;
		s->interval += timer.it_interval.tv_sec;
	}
	take_prctls(s);
	s->personality = personality(0xffffffff);
	syscall(SYS_get_mempolicy, &s->mode, s->nodes, 1024, 0, 0);
	syscall(SYS_get_mempolicy, &s->page_mode, NULL, 0, page, MPOL_F_ADDR);
	take_rights(s);
	check(prctl(PR_GET_NAME, s->name) == 0);
	s->membarrier = syscall(SYS_membarrier, 1 << 9 /* GET_REGISTRATIONS */, 0, 0);
	s->locked = is_locked();
	check(sigpending(&pending) == 0);
	s->pending = sigismember(&pending, SIGUSR2);
	check(sigprocmask(SIG_BLOCK, NULL, &s->mask) == 0);
	s->policy = sched_getscheduler(0);
}

/* ---- what they do ---- */

static void nothing(void)
{
}

static void ignores(void)
{
	check(signal(SIGRTMIN + 3, SIG_IGN) != SIG_ERR);
}

static void catches(void)
{
	struct sigaction sa = { .sa_handler = (void (*)(int))nothing, .sa_flags = SA_NODEFER };

	sigaddset(&sa.sa_mask, SIGHUP);
	check(sigaction(SIGURG, &sa, NULL) == 0);
}

static void grows(void)
{
	check(sbrk(PAGE) != (void *)-1);
}

static void ticks(void)
{
	struct itimerval t = { .it_value = { LATE, 0 } };

	check(setitimer(ITIMER_REAL, &t, NULL) == 0);
}

static void counts(void)
{
	struct itimerval t = { { LATE, 0 }, { LATE, 0 } };

	check(setitimer(ITIMER_PROF, &t, NULL) == 0);
}

static void has_timer(void)
{
	struct itimerspec t = { .it_value.tv_sec = LATE };
	timer_t timer;

	check(timer_create(CLOCK_MONOTONIC, NULL, &timer) == 0);
	check(timer_settime(timer, 0, &t, NULL) == 0);
}

static void reaps(void)
{
	check(prctl(PR_SET_CHILD_SUBREAPER, 1) == 0);
}

static void hides(void)
{
	check(prctl(PR_SET_DUMPABLE, 0) == 0);
}

static void keeps(void)
{
	check(prctl(PR_SET_KEEPCAPS, 1) == 0);
}

static void ends_with_parent(void)
{
	check(prctl(PR_SET_PDEATHSIG, SIGURG) == 0);
}

static void is_slack(void)
{
	check(prctl(PR_SET_TIMERSLACK, 123456) == 0);
}

static void is_not_huge(void)
{
	check(prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0) == 0);
}

static void locks(void)
{
	check(mlockall(MCL_FUTURE) == 0);
}

static void fences(void)
{
	check(syscall(SYS_membarrier, 1 << 4 /* REGISTER_PRIVATE_EXPEDITED */, 0, 0) == 0);
}

static void tells_no_time(void)
{
	check(prctl(PR_SET_TSC, PR_TSC_SIGSEGV) == 0);
}

static void is_another(void)
{
	check(personality(ADDR_COMPAT_LAYOUT) >= 0);
}

static void is_bound(void)
{
	unsigned long nodes = 1;

	check(syscall(SYS_set_mempolicy, MPOL_BIND, &nodes, 8) == 0 || errno == ENOSYS);
}

static void binds(void)
{
	unsigned long nodes = 1;

	check(syscall(SYS_mbind, page, PAGE, MPOL_BIND, &nodes, 8, 0) == 0 || errno == ENOSYS);
}

static void has_stack(void)
{
	stack_t stack = { .ss_sp = page, .ss_size = 4 * PAGE };

	check(sigaltstack(&stack, NULL) == 0);
}

static void is_called(void)
{
	check(prctl(PR_SET_NAME, "other name") == 0);
}

static void is_nobody(void)
{
	check(setresuid(65534, 65534, 65534) == 0);
	check(prctl(PR_SET_DUMPABLE, 1) == 0);
}

static void is_of_group(void)
{
	check(setresgid(0, 65534, 0) == 0);
	check(prctl(PR_SET_DUMPABLE, 1) == 0);
}

static void has_groups(void)
{
	check(setgroups(2, (const gid_t[]){ 7, 65534 }) == 0);
}

static void masks(void)
{
	umask(027);
}

static void is_bounded(void)
{
	check(prctl(PR_CAPBSET_DROP, CAP_SYSLOG) == 0);
}

/* Effective, permitted and inheritable ones without and with that. */
static void set_syslog(bool effective, bool inheritable)
{
	struct __user_cap_header_struct head = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct caps[2];
	uint32_t bit = CAP_TO_MASK(CAP_SYSLOG);
	struct __user_cap_data_struct *data = &caps[CAP_TO_INDEX(CAP_SYSLOG)];

	check(syscall(SYS_capget, &head, caps) == 0);
	data->effective = effective ? data->effective | bit : data->effective & ~bit;
	data->inheritable = inheritable ? data->inheritable | bit : data->inheritable & ~bit;
	check(syscall(SYS_capset, &head, caps) == 0);
}

static void lacks_one(void)
{
	set_syslog(false, false);
}

static void inherits_one(void)
{
	set_syslog(true, true);
}

static void passes_one_on(void)
{
	set_syslog(true, true);
	check(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_SYSLOG, 0, 0) == 0);
}

static void gains_nothing(void)
{
	check(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
}

static void is_signalled(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	check(sigprocmask(SIG_BLOCK, &set, NULL) == 0);
	check(raise(SIGUSR2) == 0);
}

/* As a process, not a thread. */
static void is_killed(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	check(sigprocmask(SIG_BLOCK, &set, NULL) == 0);
	check(kill(getpid(), SIGUSR2) == 0);
}

static void idles(void)
{
	check(sched_setscheduler(0, SCHED_IDLE, &(struct sched_param){}) == 0);
}

static void undoes(void)
{
	struct sembuf op = { .sem_op = 1, .sem_flg = SEM_UNDO };

	check(semop(sem, &op, 1) == 0);
}

/* That child is a process of the tree, too, and does nothing. */
static void has_child(void)
{
	pid_t parent = getpid();

	if (fork() == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		while (getppid() == parent)
			zdtm_nap();
		_exit(0);
	}
}

static void listens(void)
{
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN };
	char name[32];
	mqd_t queue;

	snprintf(name, sizeof(name), "/crtool-%d", (int)getpid());
	queue = mq_open(name, O_RDWR | O_CREAT, 0600, NULL);
	check(queue >= 0 && mq_unlink(name) == 0);
	check(mq_notify(queue, &event) == 0);
}

static void (*const ways[])(void) = {
	nothing,     ignores,    catches,   grows,         ticks,         counts,
	has_timer,   reaps,      hides,     keeps,         is_slack,      ends_with_parent,
	is_not_huge, locks,      fences,    is_another,    is_bound,      binds,
	has_stack,   is_called,  is_nobody, gains_nothing, is_signalled,  idles,
	undoes,      has_child,  listens,   tells_no_time, is_of_group,   has_groups,
	masks,       is_bounded, lacks_one, inherits_one,  passes_one_on, is_killed,
};

#define WAYS     (sizeof(ways) / sizeof(ways[0]))
#define CHILDREN (int)(EACH * WAYS)

/* ---- */

static void add(int *word)
{
	__atomic_add_fetch(word, 1, __ATOMIC_SEQ_CST);
}

static void await(const int *word, int value)
{
	while (__atomic_load_n(word, __ATOMIC_SEQ_CST) < value)
		zdtm_nap();
}

static void child(int i)
{
	await(&shared->change, 1);
	ways[(size_t)i % WAYS]();
	take(&was);
	add(&shared->done);
	await(&shared->verify, 1);
	take(&is);
	for (size_t sig = 0; sig < 64; sig++)
		check(!memcmp(&was.actions[sig], &is.actions[sig], sizeof(was.actions[sig])));
	check(!memcmp(was.prctls, is.prctls, sizeof(was.prctls)));
	check(was.top == is.top);
	check(!memcmp(was.timers, is.timers, sizeof(was.timers)));
	check(!memcmp(&was, &is, sizeof(was)));
	_exit(0);
}

static void change_all(void)
{
	add(&shared->change);
	await(&shared->done, CHILDREN);
	check(semctl(sem, 0, GETVAL) == EACH);
	close(open("changed", O_RDWR | O_CREAT, 0600));
}

int main(int argc, char **argv)
{
	pid_t pid[CHILDREN];
	int status;

	shared = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	page = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	sem = semget(IPC_PRIVATE, 1, 0600);
	check(shared != MAP_FAILED && page != MAP_FAILED && sem >= 0);
	for (int i = 0; i < CHILDREN; i++) {
		pid[i] = fork();
		if (pid[i] == 0)
			child(i);
	}
	if (argc < 2)
		change_all();
	zdtm_parked();
	while (!zdtm_released()) {
		if (!shared->change && access("change", F_OK) == 0)
			change_all();
		zdtm_nap();
	}
	check(semctl(sem, 0, GETVAL) == EACH);
	add(&shared->verify);
	for (int i = 0; i < CHILDREN; i++)
		check(waitpid(pid[i], &status, 0) == pid[i] && status == 0);
	check(semctl(sem, 0, GETVAL) == 0); /* all is undone */
	check(semctl(sem, 0, IPC_RMID) == 0);
	return zdtm_pass();
}
