/*
 * Credentials of a thread, dump half: status shows ids and capabilities; what
 * prctl(2) keeps beside them is asked inside.
 *
 * Keyrings of a thread or process hold secrets that the kernel does not give
 * back: they are reported as lost. That of the session will be crtool's (asking
 * for it would make one).
 */
#include <errno.h>
#include <linux/keyctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "dump/alike.h"
#include "dump/dump.h"
#include "dump/landlock.h"
#include "dump/outsider.h"
#include "lib/cleanup.h"
#include "lib/fd.h"
#include "lib/log.h"
#include "lib/procstate.h"
#include "proto/creds.pb-c.h"

enum {
	ASK_SECUREBITS,
	ASK_PDEATHSIG,
	ASK_THREAD_KEYRING,
	ASK_THREAD_LANDLOCK,
	ASK_DUMPABLE = ASK_THREAD_LANDLOCK, /* of a leader */
	ASK_PROCESS_KEYRING,
	ASK_LANDLOCK,
};

#define SUID_DUMP_ROOT 2 /* include/linux/sched/coredump.h */

struct answers {
	int pdeathsig;
	uint64_t landlock; /* see landlock_ask() */
};

static int creds_ask(struct dump *d, struct thread *th, struct script *s, struct ask *ret)
{
	struct answers *answers;
	uint64_t landlock = 0;
	int r = 0;

	ret->at = script_alloc(s, sizeof(*answers));
	answers = script_at(s, ret->at);
	ret->first = script_call(s, SYS_prctl, PR_GET_SECUREBITS);
	script_call(s, SYS_prctl, PR_GET_PDEATHSIG, ret->at + offsetof(struct answers, pdeathsig));
	script_ask(s, SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_THREAD_KEYRING, 0);
	if (th == th->task->threads.v) {
		/* These are of the process. */
		script_call(s, SYS_prctl, PR_GET_DUMPABLE);
		script_ask(s, SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_PROCESS_KEYRING, 0);
	}
	r = landlock_ask(d, th, s, &landlock);
	if (answers)
		answers->landlock = landlock;
	return r;
}

/* All groups of the text, in a fresh array. */
static int groups_list(const char *at, uint32_t **ret, size_t *ret_n)
{
	ARRAY(uint32_t) groups = {};
	uint32_t group;

	while (group_next(&at, &group)) {
		uint32_t *p = array_add(&groups);

		if (!p) {
			array_done(&groups);
			return -ENOMEM;
		}
		*p = group;
	}
	*ret = groups.v;
	*ret_n = groups.n;
	return 0;
}

/* What the leader was asked. */
static int64_t process_answer(const struct thread *th, const struct ask *ask, size_t i)
{
	const struct thread *leader = th->task->threads.v;

	return script_result(&thread_asked(leader)->script, leader->asks[ask - th->asks].first + i);
}

static void take_answers_of(const struct thread *th, Img__Creds *msg, const struct script *s,
                            const struct ask *ask)
{
	const struct answers *answers = script_at(s, ask->at);

	msg->securebits = (uint32_t)script_result(s, ask->first + ASK_SECUREBITS);
	msg->dumpable = (uint32_t)process_answer(th, ask, ASK_DUMPABLE);
	msg->pdeathsig = (uint32_t)answers->pdeathsig;
}

static enum landlock landlock_of(const struct thread *th, size_t room, unsigned *ret_layers)
{
	const struct script *s = &thread_asked(th)->script;
	const struct ask *ask = &th->asks[room];
	const struct answers *answers = script_at(s, ask->at);
	bool leader = th == th->task->threads.v;

	return landlock_answer(s, ask->first + (leader ? ASK_LANDLOCK : ASK_THREAD_LANDLOCK),
	                       answers->landlock, ret_layers);
}

/* Is TH the first of the threads behind the leader that is not known to be free? */
static bool is_first_unknown(const struct thread *th, size_t room)
{
	unsigned layers;

	if (landlock_of(th, room, &layers) == LANDLOCK_FREE)
		return false; /* mostly */
	for (const struct thread *before = th->task->threads.v + 1; before < th; before++)
		if (landlock_of(before, room, &layers) != LANDLOCK_FREE)
			return false;
	return true;
}

/*
 * Of a thread with a sandbox of its own the rest of the process is none the wiser. What is not known is said
 * to be possible where no_new_privs speaks for it, or that the leader is known to be free.
 */
static void report_thread(const struct thread *th, const Img__Creds *msg, size_t room)
{
	unsigned layers;

	if (is_first_unknown(th, room) &&
	    (msg->no_new_privs || landlock_of(th->task->threads.v, room, &layers) == LANDLOCK_FREE))
		lose("%s: a Landlock sandbox of a thread's own, if it is in one: that could not be "
		     "asked",
		     task_name(th->task));
}

static int take_landlock(struct dump *d, const struct thread *th, const Img__Creds *msg,
                         size_t room)
{
	unsigned layers = 0;
	enum landlock found;

	if (th != th->task->threads.v) {
		report_thread(th, msg, room);
		return 0;
	}
	found = landlock_of(th, room, &layers);
	if (found == LANDLOCK_UNKNOWN && msg->no_new_privs)
		lose("%s: a Landlock sandbox, if it is in one: that could not be asked",
		     task_name(th->task));
	if (found != LANDLOCK_IN)
		return 0;
	if (!d->opt->lose_landlock)
		return fail(-ENOTSUP,
		            "%s: is in a Landlock sandbox (%u of 16 layers), whose rules no kernel "
		            "tells; --lose-landlock saves it without",
		            task_name(th->task), layers);
	lose("%s: its Landlock sandbox (%u of 16 layers)", task_name(th->task), layers);
	return 0;
}

static void report_losses(const struct thread *th, const Img__Creds *msg, const struct script *s,
                          const struct ask *ask)
{
	bool leader = th == th->task->threads.v;

	if (msg->dumpable == SUID_DUMP_ROOT && leader)
		lose("%s: dumpable is 2 (fs.suid_dumpable), which no program may set; "
		     "it will be 0",
		     task_name(th->task));
	if (msg->pdeathsig && th->task->forked_by)
		lose("%s: thread %d: signal %u at the end of thread %d of its parent, which forked "
		     "it; it will come at the end of the parent",
		     task_name(th->task), th->tid, msg->pdeathsig, th->task->forked_by);
	if (script_result(s, ask->first + ASK_THREAD_KEYRING) > 0)
		lose("%s: thread %d: its keyring", task_name(th->task), th->tid);
	if (leader && script_result(s, ask->first + ASK_PROCESS_KEYRING) > 0)
		lose("%s: its process keyring", task_name(th->task));
}

/* What STATUS tells of thread TID; the rest is in MSG. */
static int put(struct dump *d, const struct thread *th, pid_t tid, const char *status,
               Img__Creds *msg)
{
	auto_free uint32_t *groups = NULL;
	struct cred_text c;

	if (cred_parse(status, &c) < 0)
		return fail(-EPROTO, "%s: thread %d: rights in its status", task_name(th->task),
		            tid);
	if (groups_list(c.groups, &groups, &msg->n_groups) < 0)
		return -ENOMEM;
	msg->uids = c.uid;
	msg->gids = c.gid;
	msg->n_uids = msg->n_gids = ARRAY_SIZE(c.uid);
	msg->groups = groups;
	msg->inheritable = c.inheritable;
	msg->permitted = c.permitted;
	msg->effective = c.effective;
	msg->bounding = c.bounding;
	msg->ambient = c.ambient;
	msg->no_new_privs = c.no_new_privs;
	return image_put(d->out, KIND_creds, (uint32_t)tid, &msg->base);
}

/* By the rights of the leader it is decided who may send signals, also when it has exited. */
static int creds_peek(struct dump *d, struct thread *th, struct ask *ask)
{
	char *status;
	ssize_t r;

	if (!th->task->headless || th != th->task->threads.v)
		return 0;
	r = file_read(th->task->home, "status", &status);
	if (r < 0)
		return fail((int)r, "%s: read its status", task_name(th->task));
	ask->peeked = status;
	return 0;
}

static int creds_take(struct dump *d, struct thread *th, const struct script *s,
                      const struct ask *ask)
{
	Img__Creds msg = IMG__CREDS__INIT;
	int r;

	take_answers_of(th, &msg, s, ask);
	r = put(d, th, th->tid, thread_asked(th)->status, &msg);
	if (r < 0)
		return r;
	report_losses(th, &msg, s, ask);
	r = take_landlock(d, th, &msg, (size_t)(ask - th->asks));
	if (r < 0 || !ask->peeked)
		return r;
	msg.pdeathsig = 0;
	return put(d, th, th->task->pid, ask->peeked, &msg);
}

static int creds_prepare(struct dump *d, struct task *t)
{
	return outsider_prepare(d, t);
}

const struct dump_aspect dump_creds = {
	.scope = SCOPE_THREAD,
	.prepare = creds_prepare,
	.ask = creds_ask,
	.alike = true,
	.peek = creds_peek,
	.late = true,
	.take = creds_take,
};
