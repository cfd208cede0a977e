/* Answers, and what was seen, become records. */
#include <errno.h>
#include <linux/futex.h>
#include <string.h>

#include "dump/alike.h"
#include "dump/dump.h"
#include "dump/foresee.h"
#include "dump/peek.h"
#include "dump/stages.h"
#include "dump/tracees.h"
#include "lib/cleanup.h"
#include "lib/log.h"
#include "lib/procfs.h"
#include "lib/task_facts.h"
#include "proto/thread.pb-c.h"

static int put_task(struct dump *d, const struct task *t)
{
	Img__Task msg;
	auto_free uint32_t *tids = calloc(t->threads.n, sizeof(*tids));

	if (!tids)
		return -ENOMEM;
	for (size_t i = 0; i < t->threads.n; i++)
		tids[i] = (uint32_t)t->threads.v[i].tid;
	task_describe(t, &msg);
	msg.tids = tids;
	msg.n_tids = t->threads.n;
	return image_put(d->out, KIND_task, msg.pid, &msg.base);
}

/* Name: of status, with its escapes of \n and \\ (fs/proc/array.c, proc_task_name()) taken back. */
static void take_name(const struct thread *th, char name[static 16])
{
	size_t len = 0, n = 0;
	const char *text = th->like ? NULL : key_value(th->status, "Name", &len);

	if (th->like) {
		memcpy(name, &th->facts->v[FACT_COMM], 16);
		n = strnlen(name, 15);
	}
	for (size_t i = 0; text && i < len && n < 15; i++) {
		if (text[i] == '\\' && i + 1 < len)
			name[n++] = text[++i] == 'n' ? '\n' : text[i];
		else
			name[n++] = text[i];
	}
	name[n] = '\0';
}

/* A script would have asked get_robust_list(2) and PR_GET_TID_ADDRESS. */
static struct thread_answers answers_of(const struct thread *th, const struct ask *own)
{
	struct thread_answers known = {};

	if (!th->like)
		return *(const struct thread_answers *)script_at(&th->script, own->at);
	known.tid_address = th->facts->v[FACT_CLEAR_CHILD_TID];
	known.robust_list = th->facts->v[FACT_ROBUST_LIST];
	known.robust_size = sizeof(struct robust_list_head);
	return known;
}

static int put_thread(struct dump *d, const struct thread *th)
{
	Img__Thread msg = IMG__THREAD__INIT;
	const struct ask *own = &th->asks[dump_naspects];
	struct thread_answers answers = answers_of(th, own);
	struct thread_peeked *seen = own->peeked;
	struct arch_regs regs = *thread_regs(th);
	char name[16];

	if (th->restarted)
		arch_set_call(&regs, th->restarted);
	arch_restart_anew(&regs);
	take_name(th, name);
	msg.tid = (uint32_t)th->tid;
	msg.regs = (ProtobufCBinaryData){ sizeof(regs), (uint8_t *)&regs };
	msg.xstate = (ProtobufCBinaryData){ seen->size, seen->xstate };
	msg.sigmask = thread_sigmask(th);
	msg.rseq = seen->rseq;
	msg.rseq_size = seen->rseq_size;
	msg.rseq_sig = seen->rseq_sig;
	msg.rseq_flags = seen->rseq_flags;
	msg.robust_list = answers.robust_list;
	msg.robust_list_size = answers.robust_size;
	msg.tid_address = answers.tid_address;
	msg.comm = name;
	msg.dispatch_mode = th->tracee.dispatch.mode;
	msg.dispatch_selector = th->tracee.dispatch.selector;
	msg.dispatch_offset = th->tracee.dispatch.offset;
	msg.dispatch_len = th->tracee.dispatch.len;
	msg.own_sysvsem = th->own_sysvsem;
	msg.shares_io = th->shares_io;
	return image_put(d->out, KIND_thread, msg.tid, &msg.base);
}

static int take_thread(struct dump *d, struct thread *th, bool late)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < dump_naspects; i++) {
		const struct dump_aspect *aspect = dump_aspects[i].aspect;

		if (aspect->late == late && aspect_concerns(i, th))
			r = aspect->take(d, th, &thread_asked(th)->script, &th->asks[i]);
	}
	return r;
}

int take_answers(struct dump *d)
{
	array_each (t, &d->tasks)
		array_each (th, &t->threads) {
			int r = take_thread(d, th, false);

			if (r < 0)
				return fail(r, "%s: write its records", task_name(t));
		}
	return 0;
}

int take_late(struct dump *d)
{
	int r = tree_foresee(d);

	if (r < 0)
		return r;
	array_each (t, &d->tasks) {
		r = put_task(d, t);
		array_each (th, &t->threads) {
			if (r == 0)
				r = put_thread(d, th);
			if (r == 0)
				r = take_thread(d, th, true);
		}
		if (r < 0)
			return fail(r, "%s: write its records", task_name(t));
	}
	return netns_put(d);
}
