#include "lib/landlock_word.h"

#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/bpf_iter.h"
#include "lib/child.h"
#include "lib/cleanup.h"
#include "lib/fd.h"
#include "lib/landlock.h"

#define WORDS     16 /* of all security modules */
#define IS_KERNEL (UINT64_C(1) << 63)

static int load(const struct btf *b)
{
	struct iter_program p;

	iter_begin(&p, b, WORDS, ITER_TASK);
	iter_load_field(&p, 2, 6, "task_struct", "cred");
	iter_load_field(&p, 2, 2, "cred", "security");
	iter_copy(&p, 0, 2, 0, WORDS * 8);
	return iter_load_program(&p);
}

/* Before 6.1 an iterator is over everybody, and the first is somebody else. */
static int read_words(int program, pid_t tid, uint64_t words[static WORDS])
{
	auto_close int iter = iter_open(program, tid, 0);
	uint64_t more;
	int r = iter < 0 ? iter : read_full(iter, words, WORDS * 8);

	if (r < 0)
		return r;
	return read(iter, &more, sizeof(more)) == 0 ? 0 : -EOPNOTSUPP;
}

static int restrict_self(void)
{
	const struct landlock_ruleset_attr attr = { .handled_access_fs =
		                                            LANDLOCK_ACCESS_FS_MAKE_CHAR };
	int fd;

	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	fd = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr.handled_access_fs), 0);
	return fd < 0 ? -1 : (int)syscall(SYS_landlock_restrict_self, fd, 0);
}

/* Until somebody waits for it, who has ended keeps its credentials. */
static int has_ended_well(pid_t pid)
{
	siginfo_t si = {};

	while (waitid(P_PID, (id_t)pid, &si, WEXITED | WNOWAIT) < 0)
		if (errno != EINTR)
			return -errno;
	return si.si_code == CLD_EXITED && si.si_status == 0 ? 0 : -EOPNOTSUPP;
}

/* Nothing but the domain, and what is behind it, differs. */
static int find(const uint64_t free[static WORDS], const uint64_t restricted[static WORDS])
{
	for (int i = 0; i < WORDS; i++)
		if (free[i] != restricted[i])
			return restricted[i] & IS_KERNEL && (!free[i] || free[i] & IS_KERNEL)
			               ? i
			               : -EOPNOTSUPP;
	return -EOPNOTSUPP;
}

int landlock_word(const struct btf *b)
{
	auto_close int program = load(b);
	uint64_t free[WORDS], restricted[WORDS];
	pid_t pid;
	int r;

	if (program < 0)
		return program;
	pid = fork();
	if (pid < 0)
		return -errno;
	if (pid == 0)
		_exit(restrict_self() < 0);
	r = has_ended_well(pid);
	if (r == 0)
		r = read_words(program, pid, restricted);
	if (r == 0)
		r = read_words(program, gettid(), free);
	child_end(pid);
	return r < 0 ? r : find(free, restricted);
}
