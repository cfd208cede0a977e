/* lib/proc_answers.h: what the kernel tells of all is what each would answer itself */
#include "lib/proc_answers.h"

#include <linux/bpf.h>
#include <linux/landlock.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/sem.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>

#include "lib/bpf.h"
#include "lib/landlock.h"
#include "lib/cleanup.h"
#include "unit.h"

static struct proc_answers_ask ask;

static void open_it(void)
{
	auto_(btf_done) struct btf b = {};
	int r = btf_open(&b);

	if (r == 0)
		r = proc_answers_open(&b, &ask);
	if (r == -EPERM || r == -EACCES || r == -ENOENT || r == -EOPNOTSUPP || r == -EINVAL)
		skip("the kernel does not tell us");
	check(r == 0);
}

/* What the kernel tells of PID now. */
static struct proc_answers of(pid_t pid)
{
	struct proc_answers *all, found = {};
	ssize_t n = proc_answers_read(&ask, &all);
	int times = 0;

	for (ssize_t i = 0; i < n; i++)
		if (all[i].task.v[FACT_TID] == (uint64_t)pid)
			found = all[i], times++;
	check(times == 1);
	free(all);
	return found;
}

/* A child that has done CHANGE and stands still until it is killed; its answers. */
static struct proc_answers child(void (*change)(void))
{
	struct proc_answers answers;
	siginfo_t si;
	int ready[2];
	char byte;
	pid_t pid;

	check(pipe(ready) == 0);
	pid = fork();
	check(pid >= 0);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (change)
			change();
		if (write(ready[1], "", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	check(read(ready[0], &byte, 1) == 1);
	check(ptrace(PTRACE_ATTACH, pid, NULL, NULL) == 0);
	check(waitpid(pid, NULL, 0) == pid);
	check(ptrace(PTRACE_GETSIGINFO, pid, NULL, &si) == 0); /* now it is off its CPU, too */
	answers = of(pid);
	kill(pid, SIGKILL);
	check(waitpid(pid, NULL, 0) == pid);
	close(ready[0]);
	close(ready[1]);
	return answers;
}

/* That changes what is compared, ... */
static void differs(void (*change)(void))
{
	struct proc_answers plain = child(NULL), changed = child(change);

	check(!proc_answers_special(&plain));
	check(!proc_answers_special(&changed));
	check(proc_answers_compare(&plain, &changed) != 0);
}

/* ... that makes it one of those who are asked. */
static void special(void (*change)(void))
{
	struct proc_answers changed = child(change);

	check(proc_answers_special(&changed));
}

TEST(two_children_of_one_parent_answer_alike)
{
	struct proc_answers a, b;
	void *top;

	open_it();
	a = child(NULL);
	top = sbrk(0);
	b = child(NULL);
	check(!proc_answers_special(&a));
	check(proc_answers_compare(&a, &b) == 0);
	check(b.v[ANSWER_BRK] == (uint64_t)(uintptr_t)top);
	proc_answers_done(&ask);
}

/* Somebody traces all system calls of the machine: a descriptor, or -1. */
static int trace_calls(void)
{
	struct bpf_insn nothing[] = { { .code = BPF_ALU64 | BPF_MOV | BPF_K },
		                      { .code = BPF_JMP | BPF_EXIT } };
	union bpf_attr load = { .prog_type = BPF_PROG_TYPE_RAW_TRACEPOINT,
		                .insns = (uintptr_t)nothing,
		                .insn_cnt = 2,
		                .license = (uintptr_t) "GPL" };
	union bpf_attr open = { .raw_tracepoint = { .name = (uintptr_t) "sys_enter" } };
	int program = (int)bpf_call(BPF_PROG_LOAD, &load);

	open.raw_tracepoint.prog_fd = (uint32_t)program;
	return program < 0 ? -1 : (int)bpf_call(BPF_RAW_TRACEPOINT_OPEN, &open);
}

TEST(whoever_traces_all_calls_makes_no_difference)
{
	struct proc_answers a, b;
	int trace;

	open_it();
	a = child(NULL);
	trace = trace_calls();
	if (trace < 0)
		skip("no tracing of system calls");
	b = child(NULL);
	check(close(trace) == 0);
	check(proc_answers_compare(&a, &b) == 0);
	proc_answers_done(&ask);
}

static void catches(void)
{
	struct sigaction sa = { .sa_handler = SIG_IGN, .sa_flags = SA_RESTART };

	sigaddset(&sa.sa_mask, SIGALRM);
	check(sigaction(SIGRTMAX, &sa, NULL) == 0);
}

TEST(actions_are_told)
{
	struct proc_answers a;

	open_it();
	differs(catches);
	a = child(catches);
	check(a.actions[SIGRTMAX - 1].handler == (uint64_t)(uintptr_t)SIG_IGN);
	check(a.actions[SIGRTMAX - 1].mask == signal_bit(SIGALRM));
	proc_answers_done(&ask);
}

static void reaps(void)
{
	check(prctl(PR_SET_CHILD_SUBREAPER, 1) == 0);
}

static void is_slack(void)
{
	check(prctl(PR_SET_TIMERSLACK, 12345) == 0);
}

static void is_secret(void)
{
	check(prctl(PR_SET_DUMPABLE, 0) == 0);
}

static void keeps(void)
{
	check(prctl(PR_SET_KEEPCAPS, 1) == 0);
}

static void locks(void)
{
	check(mlockall(MCL_FUTURE) == 0);
}

static void fences(void)
{
	check(syscall(SYS_membarrier, 1 << 4 /* REGISTER_PRIVATE_EXPEDITED */, 0, 0) == 0);
}

static void faults(void)
{
	check(prctl(PR_SET_TSC, PR_TSC_SIGSEGV) == 0);
}

TEST(what_others_may_have_too_is_compared)
{
	open_it();
	differs(reaps);
	differs(is_slack);
	differs(is_secret);
	differs(keeps);
	differs(locks);
	differs(fences);
	differs(faults);
	proc_answers_done(&ask);
}

static void has_child(void)
{
	pid_t parent = getpid(), pid = fork();

	check(pid >= 0);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() == parent)
			pause();
		_exit(0);
	}
}

static void ticks(void)
{
	struct itimerval soon = { .it_value = { .tv_sec = 1000 } };

	check(setitimer(ITIMER_REAL, &soon, NULL) == 0);
}

static void counts(void)
{
	struct itimerval soon = { .it_value = { .tv_sec = 1000 } };

	check(setitimer(ITIMER_PROF, &soon, NULL) == 0);
}

static void undoes(void)
{
	struct sembuf op = { .sem_op = 1, .sem_flg = SEM_UNDO };
	int id = semget(IPC_PRIVATE, 1, 0600);

	check(id >= 0);
	check(semop(id, &op, 1) == 0);
	semctl(id, 0, IPC_RMID);
}

TEST(who_can_tell_alone_is_told_apart)
{
	open_it();
	special(has_child);
	special(ticks);
	special(counts);
	special(undoes);
	proc_answers_done(&ask);
}

static void is_restricted(void)
{
	const struct landlock_ruleset_attr attr = { .handled_access_fs =
		                                            LANDLOCK_ACCESS_FS_MAKE_FIFO };
	int fd =
		(int)syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr.handled_access_fs), 0);

	check(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	check(fd >= 0 && syscall(SYS_landlock_restrict_self, fd, 0) == 0);
}

TEST(who_is_in_a_landlock_domain_is_told_apart)
{
	open_it();
	if (!has_landlock())
		skip("no Landlock");
	special(is_restricted);
	proc_answers_done(&ask);
}
