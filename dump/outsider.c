#include "dump/outsider.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/deadline.h"
#include "lib/fd.h"
#include "lib/landlock.h"
#include "lib/log.h"
#include "lib/procfs.h"
#include "lib/procstate.h"
#include "parasite/arch/arch.h"

#define MOST  16 /* identities in one tree */
#define STACK 16384

#define HAS_CAP(set, cap) ((set) >> (cap)&1)

/*
 * What the memory was that he had counts on newer kernels, too (user_dumpable of task_struct): it
 * must have been anybody's. Only who has CAP_SYS_PTRACE does not care.
 */
struct outsider {
	uint32_t uid, gid;
	bool plain; /* the memory was that of a program without secrets */
	pid_t pid;  /* 0: there can be none */
};

struct outsiders {
	ARRAY(struct outsider) list;
};

/* All layers that a thread can be in are its own: it came without any. */
static bool was_free(void)
{
	const struct landlock_ruleset_attr attr = { .handled_access_fs =
		                                            LANDLOCK_ACCESS_FS_MAKE_CHAR };
	int fd, layers = 0;

	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	fd = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr.handled_access_fs), 0);
	while (layers < LANDLOCK_LAYERS && syscall(SYS_landlock_restrict_self, fd, 0) == 0)
		layers++;
	close(fd);
	return layers == LANDLOCK_LAYERS;
}

static int open_program(void)
{
	char program[ARCH_PROGRAM_SIZE];
	auto_close int fd = memfd_create("crtool", MFD_CLOEXEC);

	arch_program_build(program);
	return fd < 0 || pwrite_full(fd, program, sizeof(program), 0) < 0 ? -1 : take_fd(&fd);
}

struct birth {
	const struct outsider *who;
	int program;
};

/*
 * In the memory of crtool, which waits: system calls only. By their numbers, for libc would
 * change the credentials of all threads.
 */
static int become(void *arg)
{
	const struct birth *b = arg;
	const struct outsider *o = b->who;
	struct __user_cap_header_struct head = { _LINUX_CAPABILITY_VERSION_3, 0 };
	const struct __user_cap_data_struct none[2] = {};
	char name[] = "crtool";
	char *const args[] = { name, NULL }, *const env[] = { NULL };

	if (!was_free() || syscall(SYS_setresgid, o->gid, o->gid, o->gid) < 0 ||
	    syscall(SYS_setresuid, o->uid, o->uid, o->uid) < 0 ||
	    syscall(SYS_capset, &head, none) < 0)
		_exit(1);
	if (o->plain)
		syscall(SYS_execveat, b->program, "", args, env, AT_EMPTY_PATH);
	_exit(o->plain);
}

/* Has it ended well? It stays a zombie. */
static bool has_become(pid_t pid)
{
	siginfo_t si = {};

	while (waitid(P_PID, (id_t)pid, &si, WEXITED | WNOWAIT | __WALL) < 0)
		if (errno != EINTR || deadline_passed())
			return false;
	return si.si_code == CLD_EXITED && si.si_status == 0;
}

static void end(pid_t pid)
{
	kill(pid, SIGKILL);
	while (waitpid(pid, NULL, __WALL) < 0 && errno == EINTR)
		continue;
}

/* While he has our memory he is somebody's who must not get at it. */
static pid_t make(struct outsider *o, unsigned timeout_ms)
{
	_Alignas(16) char stack[STACK];
	auto_close int program = o->plain ? open_program() : -1;
	struct birth birth = { o, program };
	int dumpable = prctl(PR_GET_DUMPABLE);
	pid_t pid;
	bool good;

	prctl(PR_SET_DUMPABLE, 0);
	deadline_arm(timeout_ms);
	pid = clone(become, stack + sizeof(stack), CLONE_VM, &birth);
	good = pid > 0 && has_become(pid);
	if (pid > 0 && !good)
		end(pid);
	deadline_arm(0);
	if (dumpable == 1)
		prctl(PR_SET_DUMPABLE, 1);
	return good ? pid : 0;
}

/* -EPROTO, -errno: what the task is cannot be told. */
static int identify(const struct task *t, struct outsider *ret)
{
	auto_free char *status = NULL;
	struct cred_text c;
	ssize_t r = file_read(t->proc, "status", &status);

	if (r < 0 || cred_parse(status, &c) < 0)
		return r < 0 ? (int)r : -EPROTO;
	*ret = (struct outsider){ .uid = c.uid[0],
		                  .gid = c.gid[0],
		                  .plain = !HAS_CAP(c.effective, CAP_SYS_PTRACE) ||
		                           !HAS_CAP(c.permitted, CAP_SYS_PTRACE) };
	return 0;
}

static struct outsider *find(struct outsiders *all, const struct outsider *who)
{
	array_each (o, &all->list)
		if (o->uid == who->uid && o->gid == who->gid && o->plain == who->plain)
			return o;
	return NULL;
}

int outsider_prepare(struct dump *d, struct task *t)
{
	struct outsider who, *o;

	if (!has_landlock() || identify(t, &who) < 0)
		return 0;
	if (!d->outsiders)
		d->outsiders = calloc(1, sizeof(*d->outsiders));
	if (!d->outsiders)
		return -ENOMEM;
	o = find(d->outsiders, &who);
	if (!o && d->outsiders->list.n < MOST) {
		o = array_add(&d->outsiders->list);
		if (!o)
			return -ENOMEM;
		*o = who;
		o->pid = make(o, d->opt->timeout_ms);
	}
	t->outsider = o ? o->pid : 0;
	return 0;
}

void outsiders_done(struct dump *d)
{
	if (!d->outsiders)
		return;
	array_each (o, &d->outsiders->list)
		if (o->pid)
			end(o->pid);
	array_done(&d->outsiders->list);
	free(d->outsiders);
	d->outsiders = NULL;
}
