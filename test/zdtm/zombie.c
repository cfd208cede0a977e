/*
 * What a parent is told by wait(2) of children that have ended, each in another way.
 *
 *	zombie signals    by each signal that ends a process, and by exit with each code
 *	zombie user       as other users than their parent
 *	zombie pending    the SIGCHLD still waits, with what it says
 *	zombie clone      with another signal than SIGCHLD at the end, or none
 *	zombie stopped    the parent is stopped, and was not told
 *	zombie group      in a group whose leader is gone, of a session that its parent has left since
 *	zombie core       (a loss is told) and has left a core
 */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "zdtm.h"

#define CODE 9

static int *news; /* of all of them */

static void on_news(int sig)
{
	__atomic_add_fetch(news, 1, __ATOMIC_SEQ_CST);
}

/* By the plain call: FLAGS of clone(2). */
static pid_t begin(unsigned long flags)
{
	pid_t pid = (pid_t)syscall(SYS_clone, flags, 0, 0, 0, 0);

	check(pid >= 0);
	return pid;
}

static void end_by(int how)
{
	const struct rlimit none = {};

	setrlimit(RLIMIT_CORE, &none);
	if (how < 0) {
		signal(-how, SIG_DFL);
		kill(getpid(), -how);
	}
	_exit(how);
}

static siginfo_t look(pid_t pid, int flags)
{
	siginfo_t si = {};

	while (waitid(P_PID, (id_t)pid, &si, WEXITED | __WALL | flags) < 0)
		check(errno == EINTR);
	check(si.si_pid == pid);
	return si;
}

static void expect(pid_t pid, int how, uid_t uid)
{
	siginfo_t si = look(pid, 0);

	if (si.si_uid != uid || si.si_status != (how < 0 ? -how : how))
		fprintf(stderr, "%d: user %u, status %d, not %d\n", pid, si.si_uid, si.si_status,
		        how);
	check(si.si_code == (how < 0 ? CLD_KILLED : CLD_EXITED));
	check(si.si_status == (how < 0 ? -how : how) && si.si_uid == uid);
	errno = 0;
	check(waitid(P_PID, (id_t)pid, &si, WEXITED | WNOHANG | __WALL) < 0 && errno == ECHILD);
}

static bool ends_a_process(int sig)
{
	return sig != SIGCHLD && sig != SIGCONT && sig != SIGURG && sig != SIGWINCH &&
	       sig != SIGSTOP && sig != SIGTSTP && sig != SIGTTIN && sig != SIGTTOU &&
	       (sig < 32 || sig >= SIGRTMIN);
}

static void signals(void)
{
	static const int codes[] = { 0, 1, 127, 128, 255 };
	pid_t pid[65 + 5];
	int how[65 + 5], n = 0;

	for (int sig = 1; sig <= 64; sig++)
		if (ends_a_process(sig))
			how[n++] = -sig;
	for (size_t i = 0; i < 5; i++)
		how[n++] = codes[i];
	for (int i = 0; i < n; i++) {
		pid[i] = begin(SIGCHLD);
		if (pid[i] == 0)
			end_by(how[i]);
	}
	for (int i = 0; i < n; i++)
		look(pid[i], WNOWAIT);
	*news = 0;
	zdtm_park();
	check(*news == 0);
	for (int i = 0; i < n; i++)
		expect(pid[i], how[i], getuid());
}

static void user(void)
{
	static const uid_t uids[] = { 1000, 0, 65534 };
	pid_t pid[6];

	for (size_t i = 0; i < 6; i++) {
		pid[i] = begin(SIGCHLD);
		if (pid[i] == 0) {
			uid_t uid = uids[i / 2];

			check(syscall(SYS_setresgid, uid, uid, uid) == 0);
			check(syscall(SYS_setresuid, uid, i == 5 ? 0 : uid, uid) == 0);
			end_by(i % 2 ? -SIGTERM : CODE);
		}
		look(pid[i], WNOWAIT);
	}
	zdtm_park();
	for (size_t i = 0; i < 6; i++)
		expect(pid[i], i % 2 ? -SIGTERM : CODE, uids[i / 2]);
}

static void pending(void)
{
	const struct timespec none = {};
	siginfo_t si;
	sigset_t set;
	pid_t pid;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	check(sigprocmask(SIG_BLOCK, &set, NULL) == 0);
	pid = begin(SIGCHLD);
	if (pid == 0)
		end_by(-SIGTERM);
	look(pid, WNOWAIT);
	zdtm_park();
	check(sigtimedwait(&set, &si, &none) == SIGCHLD);
	check(si.si_pid == pid && si.si_code == CLD_KILLED && si.si_status == SIGTERM);
	check(sigtimedwait(&set, &si, &none) < 0);
	expect(pid, -SIGTERM, getuid());
	check(sigtimedwait(&set, &si, &none) < 0);
}

static void other_signals(void)
{
	const int at_end[] = { 0, SIGUSR1, SIGRTMIN + 3 };
	pid_t pid[3];

	for (size_t i = 0; i < 3; i++) {
		check(!at_end[i] || signal(at_end[i], on_news) != SIG_ERR);
		pid[i] = begin((unsigned long)at_end[i]);
		if (pid[i] == 0)
			end_by(CODE);
		look(pid[i], WNOWAIT);
	}
	check(waitpid(pid[0], NULL, WNOHANG) < 0); /* not without __WALL */
	*news = 0;
	zdtm_park();
	check(*news == 0);
	check(waitpid(pid[1], NULL, WNOHANG) < 0 && errno == ECHILD);
	for (size_t i = 0; i < 3; i++)
		expect(pid[i], CODE, getuid());
}

static void stopped(void)
{
	int status;
	pid_t pid = begin(SIGCHLD);

	if (pid == 0) {
		int own = 0;
		pid_t child = begin(SIGCHLD);

		if (child == 0)
			end_by(-SIGHUP);
		look(child, WNOWAIT);
		news = &own;
		raise(SIGSTOP);
		check(*news == 0);
		expect(child, -SIGHUP, getuid());
		_exit(CODE);
	}
	while (waitpid(pid, &status, WUNTRACED) != pid)
		check(errno == EINTR);
	check(WIFSTOPPED(status));
	zdtm_park();
	check(kill(pid, SIGCONT) == 0);
	expect(pid, CODE, getuid());
}

/* Its group is that of somebody who has ended before it. */
static void make_groups(int *ready)
{
	pid_t first = begin(SIGCHLD), member;

	if (first == 0) {
		check(setpgid(0, 0) == 0);
		while (__atomic_load_n(ready, __ATOMIC_SEQ_CST) < 1)
			zdtm_nap();
		end_by(0);
	}
	member = begin(SIGCHLD);
	if (member == 0) {
		while (setpgid(0, first) < 0)
			zdtm_nap();
		__atomic_store_n(ready, 1, __ATOMIC_SEQ_CST);
		end_by(CODE);
	}
	look(member, WNOWAIT);
	expect(first, 0, getuid());
	check(setsid() == getpid());
	__atomic_store_n(ready, 2, __ATOMIC_SEQ_CST);
	while (__atomic_load_n(ready, __ATOMIC_SEQ_CST) < 3)
		zdtm_nap(); /* its end would end a nap of its parent */
	check(getpgid(member) == first && getsid(member) == getppid());
	expect(member, CODE, getuid());
	end_by(CODE);
}

static void group(void)
{
	int *ready = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t pid;

	check(ready != MAP_FAILED);
	pid = begin(SIGCHLD);
	if (pid == 0)
		make_groups(ready);
	while (__atomic_load_n(ready, __ATOMIC_SEQ_CST) < 2)
		zdtm_nap();
	zdtm_park();
	__atomic_store_n(ready, 3, __ATOMIC_SEQ_CST);
	expect(pid, CODE, getuid());
}

static int core(void)
{
	const struct rlimit all = { RLIM_INFINITY, RLIM_INFINITY };
	pid_t pid = begin(SIGCHLD);
	siginfo_t si;

	if (pid == 0) {
		setrlimit(RLIMIT_CORE, &all);
		abort();
	}
	si = look(pid, WNOWAIT);
	if (si.si_code != CLD_DUMPED)
		return 77;
	zdtm_park();
	si = look(pid, 0);
	check(si.si_code == CLD_KILLED && si.si_status == SIGABRT);
	return zdtm_pass();
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(void);
	} modes[] = { { "signals", signals },     { "user", user },       { "pending", pending },
		      { "clone", other_signals }, { "stopped", stopped }, { "group", group } };

	check(argc == 2);
	news = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	check(news != MAP_FAILED);
	check(signal(SIGCHLD, on_news) != SIG_ERR);
	if (!strcmp(argv[1], "core"))
		return core();
	for (size_t i = 0; i < sizeof(modes) / sizeof(*modes); i++)
		if (!strcmp(argv[1], modes[i].name)) {
			modes[i].run();
			return zdtm_pass();
		}
	return 1;
}
