/*
 * The pids of a checkpoint are free in a pid namespace of its own, so that a
 * copy can run beside the original, or where its numbers are taken.
 *
 *	crtool ── init (pid 1 inside) ─┬─ the restore, until the tree runs
 *	                               └─ the tree, an orphan from then on
 *
 * The first process of a pid namespace is its init, and the namespace dies with
 * it (pid_namespaces(7)); so it reaps whatever falls to it until nobody is left.
 * What it has to say goes to crtool through a pipe.
 */
#include "restore/pidns.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/fd.h"
#include "lib/log.h"
#include "lib/procfs.h"
#include "restore/leftover.h"

#define MORE_LOST "more, for which there is no room here"

/* One write(2) below PIPE_BUF: it comes whole. */
struct word {
	enum { WORD_RESTORED, WORD_ENDED } what;
	int result;      /* RESTORED: 0 or -errno */
	int status;      /* ENDED: wait status of the root */
	pid_t root;      /* inside */
	char text[3072]; /* RESTORED: why it failed, or what was lost, a line each */
};

static void say(int fd, const struct word *word)
{
	if (write_full(fd, word, sizeof(*word)) < 0)
		_exit(1); /* crtool has gone: so does everything here */
}

/* A number of its own that no checkpoint is likely to have: the highest. */
static pid_t fork_last(void)
{
	auto_free char *max = NULL;
	pid_t tid = file_read(AT_FDCWD, "/proc/sys/kernel/pid_max", &max) > 0
	                    ? (pid_t)strtol(max, NULL, 10) - 1
	                    : 32767;
	struct clone_args args = { .exit_signal = SIGCHLD,
		                   .set_tid = (uint64_t)&tid,
		                   .set_tid_size = 1 };

	return (pid_t)syscall(SYS_clone3, &args, sizeof(args));
}

/* What does not find room is told to be missing. */
static void tell_losses(struct word *word)
{
	const char *const *texts;
	size_t n = log_losses(&texts), at = 0;

	for (size_t i = 0; i < n; i++) {
		size_t left = sizeof(word->text) - at, len = strlen(texts[i]) + 1;

		if (len + sizeof(MORE_LOST) > left) {
			snprintf(word->text + at, left, MORE_LOST);
			return;
		}
		at += (size_t)snprintf(word->text + at, left, "%s\n", texts[i]);
	}
}

static void take_losses(char *text)
{
	for (char *line, *rest = text; (line = strsep(&rest, "\n")) && *line;)
		lose("%s", line);
}

/* The restore itself: a process that ends when the tree runs. WORD is shared with the init. */
static void restore_inside(const struct restore_options *opt, struct word *word,
                           int (*restore)(const struct restore_options *opt, int *ret_status))
{
	struct restore_options inside = *opt;
	int status;

	inside.detach = true;
	inside.pidfile = NULL;
	inside.new_pidns = false;
	inside.ret_root = &word->root;
	word->result = restore(&inside, &status);
	if (log_failure())
		snprintf(word->text, sizeof(word->text), "%s", log_failure());
	else
		tell_losses(word);
	_exit(0);
}

static int own_proc(void)
{
	if (unshare(CLONE_NEWNS) < 0)
		return fail(-errno, "a mount namespace of its own (needs CAP_SYS_ADMIN)");
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return fail(-errno, "make the mounts private");
	if (mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0)
		return fail(-errno, "mount /proc of the new pid namespace");
	return 0;
}

static void forget_caller(void)
{
	int null = null_open();

	for (int fd = 0; null >= 0 && fd < 3; fd++)
		dup2(null, fd);
}

/* The restore has ended, so the tree, if there is one, is the init's own child now. */
static void restored(int fd, const struct word *word, bool detach)
{
	say(fd, word);
	if (word->result < 0)
		_exit(1);
	if (detach) {
		forget_caller();
		close(fd);
	}
}

/*
 * Who came in from outside (nsenter(1)) is nobody's child here, and would be killed with the namespace: a dump,
 * maybe, that has just ended the tree. Wait until one of them has ended; false: there is none.
 */
static bool await_visitor(void)
{
	auto_dir DIR *proc = opendir("/proc");
	struct dirent *de;

	while (proc && (de = readdir(proc))) {
		pid_t pid = (pid_t)strtol(de->d_name, NULL, 10);
		auto_close int fd = pid > 1 ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;
		struct pollfd end = { .fd = fd, .events = POLLIN };

		if (fd >= 0)
			return poll(&end, 1, -1) > 0 || errno == EINTR;
	}
	return false;
}

/* Reap until nobody is left; the end of the root is news for crtool. */
static void be_init(int fd, const struct word *restored_word, pid_t restorer, bool detach)
{
	struct word word = { .what = WORD_ENDED };
	pid_t pid;
	int status;

	prctl(PR_SET_NAME, "crtool-init");
	while ((pid = wait(&status)) > 0 || errno == EINTR || await_visitor()) {
		word.status = status;
		word.root = pid;
		if (pid == restorer)
			restored(fd, restored_word, detach);
		else if (pid == restored_word->root && !detach)
			say(fd, &word);
	}
	_exit(0);
}

static void init_main(const struct restore_options *opt, int fd,
                      int (*restore)(const struct restore_options *opt, int *ret_status))
{
	struct word *word = mmap(NULL, sizeof(*word), PROT_READ | PROT_WRITE,
	                         MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t restorer = -1;

	if (word == MAP_FAILED)
		_exit(1);
	signal(SIGPIPE, SIG_IGN);
	setsid();
	word->what = WORD_RESTORED;
	word->result = own_proc();
	if (word->result == 0) {
		word->result = -ECANCELED; /* unless the restore says otherwise before it ends */
		restorer = fork_last();
	}
	if (restorer == 0)
		restore_inside(opt, word, restore);
	close_callers(opt);
	if (restorer > 0)
		be_init(fd, word, restorer, opt->detach);
	if (!log_failure())
		word->result = fail(-errno, "fork in the new pid namespace");
	snprintf(word->text, sizeof(word->text), "%s", log_failure());
	say(fd, word);
	_exit(1);
}

static int read_word(int fd, struct word *word)
{
	return read_full(fd, word, sizeof(*word));
}

/* The pid out here of the one that is INSIDE below INIT; 0: unknown. */
static pid_t outside_pid(pid_t init, pid_t inside)
{
	auto_free char *list = NULL;
	char path[64], *end;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", init, init);
	if (file_read(AT_FDCWD, path, &list) < 0)
		return 0;
	for (char *p = list; *p; p = end) {
		auto_free char *status = NULL;
		pid_t pid = (pid_t)strtol(p, &end, 10);

		if (end == p)
			break;
		snprintf(path, sizeof(path), "/proc/%d/status", pid);
		if (file_read(AT_FDCWD, path, &status) < 0)
			continue;
		if (status_inner_pid(status) == inside)
			return pid;
	}
	return 0;
}

/* Until the root ends, or with -d until it runs; from then on what it has stays. */
static int follow(struct restore_options *opt, int fd, pid_t init, int *ret_status)
{
	struct word word;
	pid_t root;
	int r = read_word(fd, &word);

	if (r < 0)
		return fail(-ECANCELED, "the init of the new pid namespace died");
	if (word.result < 0)
		return log_relay(word.result,
		                 *word.text ? word.text : "the restore died in its pid namespace");
	leftovers_outside_end(opt->outside, true);
	opt->outside = NULL;
	root = word.root;
	take_losses(word.text);
	if (opt->ret_root)
		*opt->ret_root = outside_pid(init, root);
	if (opt->new_userns)
		lose("restored without privileges: the tree is in a user namespace of its own, "
		     "where no "
		     "other user has a name, and in a pid namespace of its own, where it alone is "
		     "seen");
	if (opt->pidfile)
		r = pidfile_write(opt->pidfile, outside_pid(init, root));
	while (r == 0 && !opt->detach) {
		r = read_word(fd, &word);
		if (r == 0 && word.root == root) {
			*ret_status = word.status;
			return 0;
		}
	}
	return r < 0 ? fail(r, "wait for the restored tree") : 0;
}

/* A user namespace that knows one user and one group, the caller's: user_namespaces(7). */
static int own_users(void)
{
	uid_t uid = geteuid();
	gid_t gid = getegid();
	char text[64];
	int r;

	if (unshare(CLONE_NEWUSER) < 0)
		return fail(-errno,
		            "a user namespace of its own, for a restore without privileges (this "
		            "system may not let users have one: user.max_user_namespaces, "
		            "CAP_CHECKPOINT_RESTORE does without)");
	snprintf(text, sizeof(text), "%u %u 1", uid, uid);
	r = file_write(AT_FDCWD, "/proc/self/uid_map", text);
	if (r == 0)
		r = file_write(AT_FDCWD, "/proc/self/setgroups", "deny");
	snprintf(text, sizeof(text), "%u %u 1", gid, gid);
	if (r == 0)
		r = file_write(AT_FDCWD, "/proc/self/gid_map", text);
	return r < 0 ? fail(r, "the ids of the new user namespace") : 0;
}

static pid_t fork_init(pid_t *slot)
{
	struct clone_args args = { .flags = CLONE_PARENT_SETTID,
		                   .exit_signal = SIGCHLD,
		                   .parent_tid = (uint64_t)slot };

	return (pid_t)syscall(SYS_clone3, &args, sizeof(args));
}

int pidns_run(struct restore_options *opt, int *ret_status,
              int (*restore)(const struct restore_options *opt, int *ret_status))
{
	pid_t init, *slot;
	int ends[2], r;

	*ret_status = 0;
	if (pipe2(ends, O_CLOEXEC) < 0)
		return fail(-errno, "pipe");
	r = leftovers_outside(&opt->outside, &slot);
	if (r == 0 && opt->new_userns)
		r = own_users();
	if (r == 0 && unshare(CLONE_NEWPID) < 0)
		r = fail(-errno, "a pid namespace of its own (needs CAP_SYS_ADMIN)");
	init = r == 0 ? fork_init(slot) : -1;
	if (r == 0 && init < 0)
		r = fail(-errno, "fork the init of the new pid namespace");
	if (r < 0) {
		leftovers_outside_end(opt->outside, false);
		return r;
	}
	if (init == 0) {
		close(ends[0]);
		init_main(opt, ends[1], restore);
	}
	close(ends[1]);
	keys_wipe(opt->keys); /* init has them */
	r = follow(opt, ends[0], init, ret_status);
	close(ends[0]);
	if (r < 0) {
		kill(init, SIGKILL);
		waitpid(init, NULL, 0);
		leftovers_outside_end(opt->outside, false);
	}
	return r;
}
