/* What wait(2) has still to tell of children, restore half: job.c makes it so. */
#include <errno.h>

#include "lib/log.h"
#include "proto/wait_status.pb-c.h"
#include "restore/restore.h"

/* The child PID of T in that state (enum task_state of dump/dump.h), or NULL. */
static struct rtask *find_child(const struct restore *r, const struct rtask *t, uint32_t pid,
                                uint32_t state)
{
	struct rtask *c = rtask_find(r, (pid_t)pid);

	return c && c->parent == t && c->img->state == state ? c : NULL;
}

static int plan_children(struct restore *r, struct rtask *t, const Img__WaitStatus *msg)
{
	struct rtask *c;

	for (size_t i = 0; i < msg->n_stopped; i++) {
		c = find_child(r, t, msg->stopped[i], 1);
		if (!c || c->tell_stopped)
			return fail(-EBADMSG, "%s: has no stopped child %u", rtask_name(t),
			            msg->stopped[i]);
		c->tell_stopped = true;
	}
	for (size_t i = 0; i < msg->n_continued; i++) {
		c = find_child(r, t, msg->continued[i], 0);
		if (!c || c->tell_continued)
			return fail(-EBADMSG, "%s: has no child %u that goes on", rtask_name(t),
			            msg->continued[i]);
		c->tell_continued = true;
	}
	return 0;
}

static int wait_status_plan(struct restore *r)
{
	array_each (t, &r->tasks) {
		const Img__WaitStatus *msg = (const Img__WaitStatus *)aspect_record(
			r, KIND_wait_status, (uint32_t)t->pid);
		int ret = msg ? plan_children(r, t, msg) : 0;

		if (ret < 0)
			return ret;
	}
	return 0;
}

const struct restore_aspect restore_wait_status = {
	.plan = wait_status_plan,
};
