#include "dump/writers.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/sched.h>
#include <sched.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "dump/guard.h"
#include "dump/snapshot.h"
#include "dump/task.h"
#include "lib/child.h"
#include "lib/cleanup.h"
#include "lib/cpus.h"
#include "lib/deadline.h"
#include "lib/fd.h"
#include "lib/log.h"
#include "lib/procfs.h"

/* Whole pages, as the arena is. */
#define ARENA_EACH ((sizeof(struct mover_desk) / MOVER_PAGE + 1) * MOVER_PAGE + 2 * ARENA_STACK)

/* ---- who has some ---- */

/* Shared memory is written by whoever is the first to have it. */
static bool is_large(const struct task *t, bool first)
{
	auto_free char *text = NULL;
	uint64_t anon = 0, shmem = 0;

	if (file_read(t->proc, "status", &text) < 0)
		return false;
	status_u64(text, "RssAnon", 10, &anon);
	status_u64(text, "RssShmem", 10, &shmem);
	return (anon + (first ? shmem : 0)) << 10 >= WRITERS_BYTES;
}

/*
 * What is written as it is: not what is packed or signed, comes later, or is read of what runs. Who lives on would find
 * the time of its helpers among that of its children (getrusage(2), RUSAGE_CHILDREN).
 */
static bool dump_may(const struct dump *d)
{
	const struct dump_options *o = d->opt;

	return !o->leave_running && !o->leave_stopped && !o->stream && !o->snapshot &&
	       !o->memory_only && !o->later && !o->track && !o->keys && !o->compression.codec;
}

int writers_choose(struct dump *d, struct task *t)
{
	size_t others = 0;

	/* Most are small: what is asked of many processes comes first. */
	if (t->writers || t->stat.field[STAT_RSS] * MOVER_PAGE < WRITERS_BYTES || !dump_may(d))
		return 0;
	array_each (other, &d->tasks)
		others += other->writers != NULL;
	if (others == WRITERS_TASKS || !is_large(t, !others) || !writers_may(d, t))
		return 0;
	t->writers = calloc(1, sizeof(*t->writers));
	if (!t->writers)
		return -ENOMEM;
	t->writers->n = cpus_allowed(WRITERS);
	for (size_t i = 0; i < WRITERS; i++)
		t->writers->v[i].sock = -1;
	return 0;
}

bool writers_wanted(const struct dump *d)
{
	array_each (t, &d->tasks)
		if (t->writers)
			return true;
	return false;
}

void writers_free(struct task *t)
{
	for (size_t i = 0; t->writers && i < t->writers->n; i++)
		closep(&t->writers->v[i].sock);
	free(take_ptr(t->writers));
}

size_t writers_arena(const struct task *t)
{
	return t->writers ? ARENA_CODE + t->writers->n * ARENA_EACH : 0;
}

/* ---- they are cloned ---- */

static int ask_one(struct writer *w, struct script *s)
{
	auto_(script_done) struct script own = {};
	struct clone_args args = { .flags = CLONE_VM | CLONE_FILES | CLONE_FS,
		                   .stack_size = ARENA_STACK };
	uint64_t at = arena_alloc(s->arena, sizeof(struct mover_desk) + 64);
	int r;

	script_init(&own, s->arena);
	own.room = s->room;
	r = at ? copy_emit_end(&own) : -ENOMEM;
	if (r < 0)
		return r;
	w->desk = (at + 63) & ~UINT64_C(63);
	w->stack = own.stack;
	args.stack = own.stack - ARENA_STACK;
	w->op = script_op(
		s, OP_CLONE, EXPECT_ANY, 0, SYS_clone3,
		(const uint64_t[6]){ script_put(s, &args, sizeof(args)), sizeof(args), own.head });
	return 0;
}

bool writers_come(const struct thread *th)
{
	return th->task->writers && th == th->task->threads.v;
}

/* Others have the memory, too: it is theirs as well what happens in it. Or crtool cannot answer for filters. */
static bool suits(const struct thread *th)
{
	struct task *t = th->task;
	uint64_t seccomp = 0;

	status_u64(th->status, "Seccomp", 10, &seccomp);
	return mm_of(t) == t && t->mm_users <= 1 && (!seccomp || th->tracee.suspend_seccomp);
}

int writers_ask(struct thread *th, struct script *s)
{
	struct writers *w = th->task->writers;
	int r = 0;

	if (!writers_come(th))
		return 0;
	if (!suits(th)) {
		writers_free(th->task);
		return 0;
	}
	for (size_t i = 0; r == 0 && i < w->n; i++)
		r = ask_one(&w->v[i], s);
	return r < 0 ? fail(r, "%s: scripts of those that write its memory", task_name(th->task))
	             : 0;
}

int writers_arm(struct dump *d, const struct thread *th)
{
	int r = 0;

	if (!writers_come(th))
		return 0;
	for (size_t i = 0; r == 0 && i < th->task->writers->n; i++)
		r = guard_note_copy(d, th->task, 0);
	th->task->writers->armed = true;
	return r;
}

/* ---- they are made ready ---- */

static int call(struct task *t, struct writer *w, uint32_t nr, const uint64_t args[6])
{
	int64_t result;
	int r = tracee_syscall(&w->tracee, t->syscall_insn, nr, args, &result);

	return r < 0 ? r : result < 0 ? (int)result : 0;
}

/* Its end of PAIR is the first descriptor of a table of its own; ours is the other. */
static int connect_to(struct task *t, struct writer *w)
{
	uint64_t pair = w->desk + offsetof(struct mover_desk, pair);
	auto_close int pidfd = -1;
	int r = call(t, w, SYS_close_range, (const uint64_t[6]){ 0, ~0U, CLOSE_RANGE_UNSHARE });

	if (r == 0)
		r = call(t, w, SYS_socketpair,
		         (const uint64_t[6]){ AF_UNIX, SOCK_SEQPACKET, 0, pair });
	if (r < 0)
		return r;
	pidfd = (int)syscall(SYS_pidfd_open, w->tracee.tid, 0);
	w->sock = pidfd < 0 ? -1 : (int)syscall(SYS_pidfd_getfd, pidfd, 1, 0);
	return w->sock < 0 ? -errno : call(t, w, SYS_close, (const uint64_t[6]){ 1 });
}

/* What recvmsg(2) needs, in the memory of the helper. */
struct mail {
	struct msghdr msg;
	struct iovec iov;
	char byte;
	char control[CMSG_SPACE(sizeof(int))] __attribute__((aligned(8)));
};

/* FD becomes its descriptor 1. */
static int send_file(struct task *t, struct writer *w, int fd)
{
	uint64_t at = w->desk + offsetof(struct mover_desk, spare);
	struct mail mail = {}, ours = {};
	struct cmsghdr *c = (struct cmsghdr *)ours.control;
	int r;

	_Static_assert(sizeof(struct mail) <= sizeof(((struct mover_desk *)0)->spare), "room");
	mail.iov = (struct iovec){ (void *)(at + offsetof(struct mail, byte)), 1 };
	mail.msg = (struct msghdr){ .msg_iov = (void *)(at + offsetof(struct mail, iov)),
		                    .msg_iovlen = 1,
		                    .msg_control = (void *)(at + offsetof(struct mail, control)),
		                    .msg_controllen = sizeof(mail.control) };
	ours.iov = (struct iovec){ &ours.byte, 1 };
	ours.msg = (struct msghdr){ .msg_iov = &ours.iov,
		                    .msg_iovlen = 1,
		                    .msg_control = ours.control,
		                    .msg_controllen = sizeof(ours.control) };
	*c = (struct cmsghdr){ .cmsg_len = CMSG_LEN(sizeof(fd)),
		               .cmsg_level = SOL_SOCKET,
		               .cmsg_type = SCM_RIGHTS };
	memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	if (pwrite_full(t->mem, &mail, sizeof(mail), (off_t)at) < 0 ||
	    sendmsg(w->sock, &ours.msg, MSG_NOSIGNAL) != 1)
		return -errno;
	r = call(t, w, SYS_recvmsg, (const uint64_t[6]){ 0, at + offsetof(struct mail, msg), 0 });
	/* A security module may keep it from the file, or from writing to it. */
	return r < 0 ? r : call(t, w, SYS_write, (const uint64_t[6]){ 1, at, 0 });
}

/* Whoever there is: he is to be ended, whatever comes. */
static int note_all(struct dump *d, struct task *t)
{
	int r = 0;

	for (size_t i = 0; i < t->writers->n; i++) {
		struct writer *w = &t->writers->v[i];
		int64_t pid = script_result(&t->threads.v->script, w->op);

		if (pid < 0)
			continue;
		w->tracee =
			(struct tracee){ .tid = (pid_t)pid,
			                 .seized = true,
			                 .suspend_seccomp = t->threads.v->tracee.suspend_seccomp };
		if (r == 0)
			r = guard_note_copy(d, t, (pid_t)pid);
	}
	return r;
}

/* Nothing of it outlives crtool. */
static int take_over(struct writer *w)
{
	int status, r = tracee_wait(&w->tracee, &status);
	cpu_set_t set;

	if (r == 0)
		r = tracee_set_options(&w->tracee, PTRACE_O_EXITKILL);
	if (r == 0)
		r = tracee_take(&w->tracee);
	/* Best effort: where the program is confined to one CPU its helpers need not be. */
	if (r == 0 && sched_getaffinity(0, sizeof(set), &set) == 0)
		sched_setaffinity(w->tracee.tid, sizeof(set), &set);
	return r;
}

static int make_ready(struct dump *d, struct task *t, struct writer *w)
{
	int fd, r = w->tracee.tid ? take_over(w) : -EAGAIN;

	if (r == 0)
		r = connect_to(t, w);
	if (r == 0)
		r = image_add_pages(d->out, &w->file);
	if (r < 0)
		return r;
	fd = pages_file_lend(w->file);
	r = fd < 0 ? -ENOTSUP : send_file(t, w, fd);
	if (r == 0)
		r = tracee_launch(&w->tracee, t->arena.base + ARENA_BLOB + MOVER_WRITE, w->desk,
		                  w->stack);
	return r;
}

/* All of them work, or it goes without them: what the task cannot have done is no reason to fail. */
int writers_take(struct dump *d, struct task *t)
{
	int r;

	if (!t->writers || t->state == TASK_ZOMBIE)
		return 0;
	r = note_all(d, t);
	for (size_t i = 0; r == 0 && i < t->writers->n; i++)
		r = make_ready(d, t, &t->writers->v[i]);
	t->writers->live = r == 0;
	d->has_writers |= r == 0;
	if (r == -ETIMEDOUT || r == -EINTR || interrupted())
		return r;
	/* While they work nothing of ours is seen in what is dumped. */
	if (t->writers->live && parasite_rest(&t->parasite) < 0)
		return fail(-EIO, "%s: put it back", task_name(t));
	debug("%s: %zu processes %s its memory: %s", task_name(t), t->writers->n,
	      r ? "cannot write" : "write", strerror(-r));
	return 0;
}

struct writer *writers_of(const struct task *t, unsigned slot)
{
	return t->writers && t->writers->live && slot < t->writers->n ? &t->writers->v[slot] : NULL;
}

/* ---- the end ---- */

static int finish_one(struct task *t, struct writer *w)
{
	static const struct mover_order last;
	struct mover_answer a;
	int r = writer_order(w, t, &last);

	if (r == 0)
		r = writer_answer(w, t, &a);
	return r < 0 ? r : pages_file_returned(w->file, a.hash);
}

int writers_finish(struct dump *d)
{
	array_each (t, &d->tasks)
		for (size_t i = 0; writers_of(t, 0) && i < t->writers->n; i++) {
			int r = finish_one(t, &t->writers->v[i]);

			if (r < 0)
				return r;
		}
	return 0;
}

static void kill_all(struct task *t)
{
	for (size_t i = 0; t->writers && i < t->writers->n; i++) {
		struct writer *w = &t->writers->v[i];

		closep(&w->sock);
		if (w->tracee.seized)
			child_end(w->tracee.tid);
		w->tracee.seized = false;
	}
}

void writers_kill(struct dump *d)
{
	array_each (t, &d->tasks) {
		kill_all(t);
		t->parasite.shared = false;
		if (writers_of(t, 0))
			parasite_rouse(&t->parasite, t->door);
	}
}

static void kill_unknown(const struct dump *d, struct task *t)
{
	for (size_t i = 0; t->writers && t->writers->armed && i < t->writers->n; i++) {
		struct writer *w = &t->writers->v[i];

		if (w->tracee.tid)
			continue;
		w->tracee.tid = snapshot_find(d, t);
		if (w->tracee.tid)
			child_end(w->tracee.tid);
	}
}

void writers_kill_unknown(struct dump *d)
{
	array_each (t, &d->tasks)
		kill_unknown(d, t);
}

/* The task stands at the end of its scripts, and reaps what it has cloned. */
static int reap_all(struct dump *d, struct task *t)
{
	for (size_t i = 0; i < t->writers->n; i++) {
		struct writer *w = &t->writers->v[i];
		int64_t result = 0;
		int r = w->tracee.tid ? parasite_call(&t->parasite, SYS_wait4,
		                                      (const uint64_t[6]){ (uint64_t)w->tracee.tid,
		                                                           0, WNOHANG | __WALL },
		                                      &result)
		                      : 0;

		if (r < 0)
			return r;
		if (result == w->tracee.tid)
			w->tracee.tid = 0;
	}
	return 0;
}

static bool are_reaped(const struct task *t)
{
	for (size_t i = 0; i < t->writers->n; i++)
		if (t->writers->v[i].tracee.tid)
			return false;
	return true;
}

int writers_end_task(struct dump *d, struct task *t)
{
	int r;

	kill_all(t);
	t->parasite.shared = false;
	r = parasite_rouse(&t->parasite, t->door);
	if (r == 0)
		r = reap_all(d, t);
	t->writers->live = false;
	if (r == 0 && are_reaped(t)) {
		t->writers->armed = false;
		guard_forget_copy(d, t);
	}
	if (r == 0)
		r = parasite_cure(&t->parasite);
	if (r == 0)
		guard_forget(d, t);
	return r < 0 ? fail(r, "%s: end the processes that wrote its memory", task_name(t)) : 0;
}

int writers_end(struct dump *d)
{
	int first = 0;

	array_each (t, &d->tasks) {
		int r = t->writers && t->writers->armed && t->parasite.host ? writers_end_task(d, t)
		                                                            : 0;

		if (first == 0)
			first = r;
	}
	return first;
}

void writers_done(struct dump *d)
{
	array_each (t, &d->tasks) {
		bool reaped = true;

		for (size_t i = 0; t->writers && t->writers->armed && i < t->writers->n; i++) {
			struct writer *w = &t->writers->v[i];
			pid_t pid = w->tracee.tid;

			reaped &= !pid || copy_reap(t->pid, pid) == 0 || task_has_ended(t);
			w->tracee.tid = 0;
		}
		if (t->writers && t->writers->armed && reaped)
			guard_forget_copy(d, t);
		if (t->writers)
			t->writers->armed = false;
	}
}
