/*
 * Is a task in a Landlock sandbox? See landlock.h.
 *
 * First each thread asks for the robust list of somebody outside (outsider.h), which is
 * answered to who may look at him. The answer, no list, is written where the thread that
 * counts would have the size of its stack: without one there is none, so that who is free costs no thread.
 *
 * The thread that counts is nobody's child: no SIGCHLD, nothing to wait for. It
 * shares the descriptors, since a copy of the table would flush all files at its end, and
 * has all signals blocked. The leader waits for its end, in a call in which it can be stopped.
 * No call of it may end its script early, for that would end the task: all may answer anything.
 *
 * It is traced by nobody (CLONE_UNTRACED: also where the leader is watched for the copy of a
 * snapshot). So it is not sent where that matters: into a task with seccomp filters, which
 * are suspended for tracees alone, and into a stopped one, where it would stop.
 */
#include "dump/landlock.h"
#include "dump/together.h"

#include <errno.h>
#include <linux/futex.h>
#include <linux/landlock.h>
#include <linux/sched.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/landlock.h"
#include "lib/log.h"
#include "lib/procfs.h"

enum {
	OP_NO_NEW_PRIVS,
	OP_CREATE,
	OP_RESTRICT,
	OP_CLOSE = OP_RESTRICT + LANDLOCK_LAYERS,
	OP_EXIT,
	OPS
};

struct answer {
	int64_t ruleset;    /* the descriptor that it must be */
	uint64_t head, ops; /* of the script of the thread that counts */
};

/* Of those that are let go by policy, the list knows nothing (gather.c). */
static bool is_open(const struct task *t, int fd)
{
	char path[24], link[1];

	if (together_tells_files(t))
		return together_is_open(t, fd);
	snprintf(path, sizeof(path), "fd/%d", fd);
	return readlinkat(t->proc, path, link, sizeof(link)) >= 0;
}

/* The number that the next descriptor of T gets. */
static int lowest_free(const struct task *t)
{
	size_t next = 0;
	int fd = 0;

	while ((next < t->fds.n && t->fds.v[next].fd == fd) || is_open(t, fd)) {
		next += next < t->fds.n && t->fds.v[next].fd == fd;
		fd++;
	}
	return fd;
}

/* Does nobody else open anything meanwhile? */
static bool has_own_files(const struct task *t)
{
	return t->alone & 1u << TABLE_FILES;
}

static bool can_be_asked(const struct thread *th)
{
	struct task *t = th->task;
	uint64_t seccomp = 1;

	status_u64(th->status, "Seccomp", 10, &seccomp);
	return t->state == TASK_ALIVE && !t->headless && !th->tracee.stop_signal && !seccomp &&
	       has_own_files(t);
}

static void emit_count(struct script *own, int fd)
{
	const struct landlock_ruleset_attr attr = { .handled_access_fs =
		                                            LANDLOCK_ACCESS_FS_EXECUTE };

	script_ask(own, SYS_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	script_ask(own, SYS_landlock_create_ruleset, script_put(own, &attr, sizeof(attr)),
	           sizeof(attr.handled_access_fs), 0);
	for (int i = 0; i < LANDLOCK_LAYERS; i++)
		script_ask(own, SYS_landlock_restrict_self, fd, 0);
	script_ask(own, SYS_close, fd);
	script_ask(own, SYS_exit, 0);
}

/*
 * Until the word at ALIVE is cleared (CLONE_CHILD_CLEARTID). At MADE is the number of the thread (CLONE_PARENT_SETTID),
 * which serves as the bits to be woken for: where there is no thread there are none, which the
 * call refuses. Not with a time-out, which would do the same: a wait that has one and is interrupted takes the restart
 * block of the call that the thread was frozen in.
 */
static void emit_wait(struct script *s, uint64_t alive, uint64_t made)
{
	const uint64_t bitset = 5; /* argument */

	script_op(s, OP_FETCH, EXPECT_ANY, 0, 0, (const uint64_t[6]){ made, bitset });
	script_ask(s, SYS_futex, alive, FUTEX_WAIT_BITSET, 1, 0, 0, 0);
}

/* No list: 0 at AT. Of a process that there cannot be it is not answered. */
static void emit_look(struct script *s, pid_t outsider, uint64_t at)
{
	script_ask(s, SYS_get_robust_list, outsider ? outsider : -1, at,
	           script_alloc(s, sizeof(uint64_t)));
}

/* The look, and the thread with its script; of the memory there is only that of S. */
static int emit_thread(struct script *s, struct script *own, pid_t outsider, struct answer *answer)
{
	const uint32_t alive = 1;
	struct clone_args args = { .flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND |
		                            CLONE_THREAD | CLONE_PARENT_SETTID |
		                            CLONE_CHILD_CLEARTID | CLONE_UNTRACED,
		                   .parent_tid = script_alloc(s, sizeof(uint64_t)),
		                   .child_tid = script_put(s, &alive, sizeof(alive)),
		                   .stack_size = ARENA_STACK };
	const struct script_head *head;
	int r = script_head(own);
	uint64_t at;

	if (r == 0) {
		emit_count(own, (int)answer->ruleset);
		r = script_finish(own, 0, 0, NULL, 0);
	}
	if (r < 0)
		return r;
	head = script_at(own, own->head);
	answer->head = own->head;
	answer->ops = head->ops;
	args.stack = own->stack - ARENA_STACK;
	at = script_put(s, &args, sizeof(args));
	emit_look(s, outsider, at + offsetof(struct clone_args, stack_size));
	script_op(s, OP_CLONE, EXPECT_ANY, 0, SYS_clone3,
	          (const uint64_t[6]){ at, sizeof(args), own->head });
	emit_wait(s, args.child_tid, args.parent_tid);
	return 0;
}

int landlock_ask(struct dump *d, struct thread *th, struct script *s, uint64_t *ret_at)
{
	auto_(script_done) struct script own = {};
	pid_t outsider = th->task->outsider;
	struct answer *answer;
	int r;

	*ret_at = 0;
	if (th != th->task->threads.v || !has_landlock() || !can_be_asked(th)) {
		emit_look(s, outsider, script_alloc(s, sizeof(uint64_t)));
		return 0;
	}
	*ret_at = script_alloc(s, sizeof(*answer));
	answer = script_at(s, *ret_at);
	if (!answer)
		return -ENOSPC;
	answer->ruleset = lowest_free(th->task);
	script_init(&own, s->arena);
	own.room = s->room;
	r = emit_thread(s, &own, outsider, answer);
	return r < 0 ? fail(r, "%s: script that counts Landlock layers", task_name(th->task)) : 0;
}

/* Its ops, once it has come to its end. It was in the target's memory: believe it only as far as it is ours. */
static const struct op *ops_done(const struct script *s, const struct answer *answer)
{
	const struct script_head *head = script_at(s, answer->head);

	if (!head || !script_at(s, answer->head + sizeof(*head) - 1) || head->at != OP_EXIT)
		return NULL;
	return script_at(s, answer->ops + OPS * sizeof(struct op) - 1) ? script_at(s, answer->ops)
	                                                               : NULL;
}

enum landlock landlock_answer(const struct script *s, size_t first, uint64_t at,
                              unsigned *ret_layers)
{
	const struct answer *answer = at ? script_at(s, at) : NULL;
	const struct op *ops;
	unsigned added = 0;

	if (script_result(s, first) == 0 || !has_landlock())
		return LANDLOCK_FREE;
	ops = answer ? ops_done(s, answer) : NULL;
	if (!ops || ops[OP_CREATE].result != answer->ruleset)
		return LANDLOCK_UNKNOWN;
	while (added < LANDLOCK_LAYERS && ops[OP_RESTRICT + added].result == 0)
		added++;
	if (added == LANDLOCK_LAYERS)
		return ops[OP_CLOSE].result == 0 ? LANDLOCK_FREE : LANDLOCK_UNKNOWN;
	if (ops[OP_RESTRICT + added].result != -E2BIG)
		return LANDLOCK_UNKNOWN;
	*ret_layers = LANDLOCK_LAYERS - added;
	return LANDLOCK_IN;
}
