/*
 * at N WHAT COMMAND...: run COMMAND and interfere at its Nth system call,
 * counted over all of its threads, but not its children, from its exec:
 *
 *	at 17 KILL crtool dump ...     a signal by name or number
 *	at 17 =ENOSPC crtool dump ...  the call is not made and fails
 *	at 17 -                        nothing, for the count
 *
 * Signals come from the kernel, where it counts (at_count.h); who makes calls fail traces COMMAND,
 * as all do where bpf(2) is not to be had, or AT_TRACES is set.
 *
 * With $AT_NAMES only calls are counted that have a path with that in it, which takes a tracer, too. With $AT_WITHIN
 * those of who restores in another pid namespace are counted as well, and he is interfered with: who is its init ends
 * with it.
 *
 * The exit code is that of COMMAND, 128 + signal if one ended it. With a path
 * in $AT_LOG the number of calls and the Nth with its first argument go there, as
 * "made 301, 16(0x3) at 17".
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test/fault/at_count.h"

/* Not its children: those of a restore have another tracer. */
#define OPTIONS (PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL | PTRACE_O_TRACECLONE)
/* Of those within: the first one forks the other, who restores and has tracees of its own. */
#define INIT         (PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEFORK)
#define RESTORER     PTRACE_O_TRACESYSGOOD
#define SYSCALL_STOP (SIGTRAP | 0x80)
#define MAX_PID      (1 << 22)

static long at, made, nr_at = -1, arg_at;
static int signal_at, errno_at;
static pid_t command;
static const char *named; /* NULL: all calls count */
static int within;
static pid_t init_within;
static unsigned char inside[MAX_PID];  /* between entry and exit of a call */
static unsigned char failing[MAX_PID]; /* its call is to fail */

static const struct {
	const char *name;
	int value;
} names[] = {
	{ "KILL", SIGKILL },   { "TERM", SIGTERM },   { "INT", SIGINT },     { "HUP", SIGHUP },
	{ "=ENOSPC", ENOSPC }, { "=EDQUOT", EDQUOT }, { "=EIO", EIO },       { "=EMFILE", EMFILE },
	{ "=ENOMEM", ENOMEM }, { "=EINTR", EINTR },   { "=EAGAIN", EAGAIN }, { "=ESRCH", ESRCH },
};

static int number_of(const char *name)
{
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (!strcmp(names[i].name, name))
			return names[i].value;
	return atoi(name + (*name == '='));
}

/* Is there such a path at ADDRESS? It may be the last thing in its page, or go on in the next. */
static int is_named(pid_t t, unsigned long address)
{
	char text[256] = "";
	size_t size = sizeof(text) - 1, here = 4096 - (address & 4095);
	size_t first = here < size ? here : size;
	struct iovec local = { text, size };
	struct iovec remote[2] = { { (void *)address, first },
		                   { (void *)(address + first), size - first } };

	return process_vm_readv(t, &local, 1, remote, 2, 0) > 0 && strstr(text, named);
}

/* A path is the first argument, or the one after a directory. */
static int counts(pid_t t)
{
	struct user_regs_struct regs;

	if (!named)
		return 1;
	return ptrace(PTRACE_GETREGS, t, NULL, &regs) == 0 &&
	       (is_named(t, regs.rdi) || is_named(t, regs.rsi));
}

static int is_own(pid_t t)
{
	return syscall(SYS_tgkill, command, t, 0) == 0 || errno != ESRCH;
}

/* Fail or interrupt the call that T is about to make. */
static void interfere(pid_t t)
{
	struct user_regs_struct regs;

	if (ptrace(PTRACE_GETREGS, t, NULL, &regs) == 0)
		nr_at = (long)regs.orig_rax, arg_at = (long)regs.rdi;
	if (signal_at)
		kill(is_own(t) ? command : t, signal_at);
	/*
	 * The end is no call that can fail; and of futex(2) the C library takes a failure that the kernel has not for a
	 * bug of its own, or does not look: who waits for a lock would wait for ever.
	 */
	if (!errno_at || nr_at == SYS_exit_group || nr_at == SYS_exit || nr_at == SYS_futex)
		return;
	regs.orig_rax = (unsigned long)-1;
	ptrace(PTRACE_SETREGS, t, NULL, &regs);
	failing[t] = 1;
}

static void leave_failed(pid_t t)
{
	struct user_regs_struct regs;

	failing[t] = 0;
	if (ptrace(PTRACE_GETREGS, t, NULL, &regs) < 0)
		return;
	regs.rax = (unsigned long)-errno_at;
	ptrace(PTRACE_SETREGS, t, NULL, &regs);
}

static void syscall_stop(pid_t t)
{
	inside[t] = !inside[t];
	if (inside[t] && made >= 0 && !counts(t))
		return;
	if (inside[t] && ++made == at)
		interfere(t);
	else if (!inside[t] && failing[t])
		leave_failed(t);
}

/* One stop of T; the signal to go on with. */
static int stopped(pid_t t, int status)
{
	int sig = WSTOPSIG(status);

	if (sig == SYSCALL_STOP) {
		syscall_stop(t);
		return 0;
	}
	if (status >> 16 || sig == SIGSTOP || (sig == SIGTRAP && !made))
		return 0;
	return sig;
}

/* A process of its own, which has just begun. */
static int is_stranger(pid_t t, int status)
{
	return WSTOPSIG(status) == SIGSTOP && !(status >> 16) && !is_own(t);
}

/* Its number in the innermost pid namespace, if that is not ours; 0: it must outlive COMMAND. */
static int number_within(pid_t t)
{
	char path[32], line[256];
	int outer, inner = 0;
	FILE *status;

	snprintf(path, sizeof(path), "/proc/%d/status", t);
	status = fopen(path, "r");
	while (status && fgets(line, sizeof(line), status))
		if (sscanf(line, "NSpid: %d %d", &outer, &inner) == 2)
			break;
	if (status)
		fclose(status);
	return inner;
}

static void go_on(pid_t t, int sig)
{
	ptrace(t == init_within ? PTRACE_CONT : PTRACE_SYSCALL, t, NULL, (long)sig);
}

static void meet(pid_t t)
{
	int number = within ? number_within(t) : 0;

	if (!number) {
		ptrace(PTRACE_DETACH, t, NULL, NULL);
		return;
	}
	if (number == 1)
		init_within = t;
	ptrace(PTRACE_SETOPTIONS, t, NULL, number == 1 ? INIT : RESTORER);
	inside[t] = 0;
	go_on(t, 0);
}

/* Its wait status. */
static int watch(void)
{
	int status;
	pid_t t;

	while ((t = waitpid(-1, &status, __WALL)) > 0) {
		if (WIFSTOPPED(status) && is_stranger(t, status))
			meet(t);
		else if (WIFSTOPPED(status))
			go_on(t, stopped(t, status));
		else if (t == command)
			break;
	}
	return status;
}

static void tell(void)
{
	const char *path = getenv("AT_LOG");
	FILE *log = path ? fopen(path, "w") : NULL;

	if (!log)
		return;
	fprintf(log, "made %ld, %ld(%#lx) at %ld\n", made, nr_at, arg_at, at);
	fclose(log);
}

static int ended(int status)
{
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static int run_traced(char **argv)
{
	int status;

	command = fork();
	if (command == 0) {
		ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		raise(SIGSTOP);
		execv(*argv, argv);
		_exit(127);
	}
	if (command < 0 || waitpid(command, &status, 0) != command ||
	    ptrace(PTRACE_SETOPTIONS, command, NULL,
	           within ? OPTIONS | PTRACE_O_TRACEFORK : OPTIONS) < 0)
		return 2;
	/* Its exec ends with a call on the way out: counted from there. */
	inside[command] = 0;
	made = -1;
	ptrace(PTRACE_SYSCALL, command, NULL, NULL);
	return ended(watch());
}

static int run_counted(struct count *c, char **argv)
{
	int status;

	command = fork();
	if (command == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		raise(SIGSTOP);
		execv(*argv, argv);
		_exit(127);
	}
	if (command < 0 || waitpid(command, &status, WUNTRACED) != command)
		return 2;
	c->made = -1; /* the exec */
	c->at = at > 0 ? at : INT64_MAX;
	c->signal = (uint64_t)signal_at;
	c->tgid = (uint64_t)command;
	if (kill(command, SIGCONT) < 0 || waitpid(command, &status, 0) != command)
		return 2;
	c->tgid = 0;
	made = c->made;
	if (at > 0 && made >= at)
		nr_at = (long)c->nr, arg_at = (long)c->arg;
	return ended(status);
}

int main(int argc, char **argv)
{
	struct count *count = NULL;
	int status;

	if (argc < 4)
		return 2;
	at = atol(argv[1]);
	if (*argv[2] == '=')
		errno_at = number_of(argv[2]);
	else if (*argv[2] != '-')
		signal_at = number_of(argv[2]);
	named = getenv("AT_NAMES");
	within = getenv("AT_WITHIN") != NULL;
	if (!errno_at && !named && !within && !getenv("AT_TRACES"))
		count = count_begin();
	status = count ? run_counted(count, argv + 3) : run_traced(argv + 3);
	tell();
	return status;
}
