/*
 * Who forks whom. A parent forks its children, but a session is inherited, and
 * can be left only into one's own (setsid(2)): a child whose session is not its
 * parent's needs another forker, which stands in that session, and clone(2)'s
 * CLONE_PARENT to become its parent's child all the same.
 *
 *	its own session     the parent forks it, it calls setsid
 *	its parent's        the parent forks it, before or after its own setsid
 *	a sibling's         the sibling that leads it clones it as a sibling
 *	a dead leader's     a helper takes the leader's pid, is gone afterwards
 *	any                 a sibling with whom it shares what its parent has not clones
 *	                    it as a sibling, if that stands in the right session
 *	another's           a helper below somebody in that session forks it and
 *	                    ends: it falls to its parent, which is a subreaper
 *
 * Who makes the session of a dead leader again is a child of the deepest parent of its
 * members: tasks fall upwards only, so all these parents stand one above the other.
 *
 * The root inherits the session of crtool (a shell job), or one that run.c makes
 * for it. A process group whose leader is gone is made by a helper of that pid, too.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>

#include "lib/cleanup.h"
#include "lib/log.h"
#include "restore/restore.h"
#include "restore/share.h"

static int link_parents(struct restore *r)
{
	array_each (t, &r->tasks) {
		t->parent = t->img->ppid ? rtask_find(r, (pid_t)t->img->ppid) : NULL;
		if (t->parent && t->parent->role == ROLE_ZOMBIE)
			return fail(-EBADMSG, "%s: is the child of a zombie", rtask_name(t));
	}
	return 0;
}

/* A process that only lives while the tree is made, with the number PID in session SID. */
static struct rtask *add_helper(struct restore *r, pid_t pid, pid_t sid)
{
	struct rtask *t = &r->helpers[r->nhelpers++];

	*t = (struct rtask){ .pid = pid,
		             .role = ROLE_HELPER,
		             .sid = sid,
		             .pgid = sid,
		             .exit_signal = pid ? SIGCHLD : 0 };
	return t;
}

static struct rtask *find_helper(const struct restore *r, pid_t pid)
{
	for (size_t i = 0; i < r->nhelpers; i++)
		if (r->helpers[i].pid == pid)
			return &r->helpers[i];
	return NULL;
}

/* The session that T is in before it calls setsid: that of its forker. */
static pid_t session_before(const struct rtask *t)
{
	if (!t->forker)
		return t->born_in; /* of the root crtool's */
	return t->before_setsid ? session_before(t->forker) : t->forker->sid;
}

/* The leader of the session SID that nobody leads any more, as a child of T's parent, as T is one. */
static struct rtask *dead_leader(struct restore *r, const struct rtask *t, pid_t sid)
{
	struct rtask *helper = find_helper(r, sid);

	if (helper)
		return helper;
	helper = add_helper(r, sid, sid);
	helper->parent = helper->forker = t->parent;
	helper->exit_signal = t->exit_signal;
	return helper;
}

static void fork_from(struct rtask *t, struct rtask *forker, bool as_sibling, bool before_setsid)
{
	t->forker = forker;
	t->as_sibling = as_sibling;
	t->before_setsid = before_setsid;
}

/* T fell to its parent when its own one ended: do it again. */
static int plan_orphan(struct restore *r, struct rtask *t, struct rtask *in_session)
{
	struct rtask *helper;

	if (t->exit_signal != SIGCHLD)
		return fail(-ENOTSUP,
		            "%s: belongs to session %d, from which it can only be made with "
		            "SIGCHLD at its end, and has signal %d: not supported by this version",
		            rtask_name(t), in_session->sid, t->exit_signal);
	helper = add_helper(r, 0, in_session->sid);
	helper->forker = helper->parent = in_session;
	fork_from(t, helper, false, false);
	t->orphan = true;
	t->parent->reaps = true;
	return 0;
}

/* CLONE_PARENT: the signal at its end is that of the sibling, too. */
static int plan_sibling(struct rtask *t, struct rtask *by)
{
	bool before = by->sid == by->pid && t->sid == session_before(by);

	if ((t->sid != t->pid && t->sid != by->sid && !before) || t->exit_signal != by->exit_signal)
		return fail(-ENOTSUP,
		            "%s: shares memory or descriptors with its sibling %s, which has "
		            "another session or signal at its end: not supported by this version",
		            rtask_name(t), rtask_name(by));
	fork_from(t, by, true, t->sid != t->pid && t->sid != by->sid);
	return 0;
}

/* By LEADER, as its sibling, or by a helper below it. */
static int plan_session(struct restore *r, struct rtask *t, struct rtask *leader)
{
	if (leader->parent != t->parent || leader == r->tasks.v ||
	    leader->exit_signal != t->exit_signal)
		return plan_orphan(r, t, leader);
	fork_from(t, leader, true, false);
	t->orphan = leader->orphan; /* they fall together */
	return 0;
}

/* The session that T must be forked in; 0: any. */
static pid_t session_first(const struct rtask *t)
{
	return t->sid == t->pid ? t->born_in : t->sid;
}

/* SID has a leader that is gone, and was not there before the root. */
static bool is_leaderless(const struct restore *r, pid_t sid)
{
	return sid != r->tasks.v[0].sid && !rtask_find(r, sid);
}

static int plan_fork(struct restore *r, struct rtask *t)
{
	struct rtask *p = t->parent, *leader;
	pid_t sid = session_first(t);

	if (!sid || sid == p->sid) {
		fork_from(t, p, false, false);
		return 0;
	}
	if (p->sid == p->pid && sid == session_before(p)) {
		fork_from(t, p, false, true);
		return 0;
	}
	if (is_leaderless(r, sid))
		return 0; /* later */
	leader = rtask_find(r, sid);
	/* None: its session was there before it (run.c). */
	return plan_session(r, t, leader ? leader : r->tasks.v);
}

/* From the last, which are the deepest. */
static int plan_leaderless(struct restore *r)
{
	for (size_t i = r->tasks.n; i-- > 1;) {
		struct rtask *t = &r->tasks.v[i];
		int ret;

		if (t->forker || shares_sibling(t))
			continue;
		ret = plan_session(r, t, dead_leader(r, t, session_first(t)));
		if (ret < 0)
			return ret;
	}
	return 0;
}

/* ---- sessions that a task has left ---- */

static bool is_below(const struct rtask *t, const struct rtask *top)
{
	while (t && t != top)
		t = t->parent;
	return t;
}

/* Has session SID anybody who is not below T? Then T may have been born there, and not those below fallen to it. */
static bool is_from_above(const struct restore *r, pid_t sid, const struct rtask *t)
{
	const struct rtask *leader = rtask_find(r, sid);

	if (leader)
		return !is_below(leader, t);
	array_each (m, &r->tasks)
		if (m->sid == sid && !is_below(m, t))
			return true;
	return false;
}

/* As one who falls to P's parent, or by that, before it has left the session itself, or by a sibling. */
static bool can_be_born(const struct restore *r, const struct rtask *p, pid_t sid)
{
	const struct rtask *q = p->parent;

	if (p->exit_signal == SIGCHLD)
		return true;
	if (q->sid == q->pid && q != r->tasks.v &&
	    (q->parent->sid == sid || can_be_born(r, q, sid)))
		return true;
	for (const struct rtask *m = r->tasks.v + 1; m < r->tasks.v + r->tasks.n; m++)
		if (m != p && m->sid == sid && m->parent == p->parent &&
		    m->exit_signal == p->exit_signal)
			return true;
	return false;
}

/*
 * Who leads a session has left another one, in which its first children may be. If it
 * was not that of its parent, who or whose sibling has forked it was elsewhere.
 */
static void plan_births(struct restore *r)
{
	for (size_t i = r->tasks.n; i-- > 1;) {
		struct rtask *t = &r->tasks.v[i], *p = t->parent;
		pid_t sid = session_first(t);

		if (!sid || sid == p->sid || p->sid != p->pid || p == r->tasks.v ||
		    p->born_in == p->parent->sid)
			continue;
		if (sid == p->parent->sid ||
		    (!p->born_in && is_from_above(r, sid, p) && can_be_born(r, p, sid)))
			p->born_in = sid;
	}
}

/* Whose child T is when it has been forked. */
static const struct rtask *first_parent(const struct rtask *t)
{
	while (t->as_sibling)
		t = t->forker;
	return t->orphan ? t->forker : t->parent;
}

/* Where T falls when that ends: to the next subreaper. */
static const struct rtask *falls_to(const struct rtask *t)
{
	const struct rtask *at = first_parent(t);

	while (at && !at->reaps)
		at = first_parent(at);
	return at;
}

static int check_orphans(const struct restore *r)
{
	array_each (t, &r->tasks)
		if (t->orphan && falls_to(t) != t->parent)
			return fail(-ENOTSUP,
			            "%s: belongs to session %d, whose members have parents that "
			            "cannot be made one after the other, not supported by this "
			            "version",
			            rtask_name(t), t->sid);
	return 0;
}

/*
 * Forks must not wait for each other in a circle: who is forked comes from the
 * root in the end.
 */
static int check_forkers(const struct restore *r)
{
	array_each (t, &r->tasks) {
		const struct rtask *f = t;
		size_t steps = 0;

		while (f->forker && steps++ <= r->tasks.n + r->nhelpers)
			f = f->forker;
		if (f != r->tasks.v)
			return fail(-EBADMSG,
			            "%s: sessions in a circle, or of somebody outside of the "
			            "tree",
			            rtask_name(t));
	}
	return 0;
}

/* Groups whose leader is gone. The helper is in the right session by its forker: any member's. */
static int plan_groups(struct restore *r)
{
	for (size_t i = 0; i < r->tasks.n; i++) {
		struct rtask *t = &r->tasks.v[i], *helper;

		if (t->pgid == t->pid || rtask_find(r, t->pgid) || find_helper(r, t->pgid))
			continue;
		if (r->opt->shell_job && t->pgid == r->tasks.v[0].pgid)
			continue; /* the job's own group: crtool's */
		if (!r->opt->shell_job && t->pgid == r->tasks.v[0].sid)
			continue; /* that of the leader who made the root's session: run.c */
		helper = add_helper(r, t->pgid, t->sid);
		helper->pgid = t->pgid;
		helper->parent = helper->forker = t->role == ROLE_ZOMBIE ? t->forker : t;
		helper->before_setsid = t->role == ROLE_ZOMBIE && t->before_setsid;
		if (helper->forker && session_before(helper) != t->sid)
			return fail(-ENOTSUP,
			            "%s: its process group %d has no leader any more, not "
			            "supported by this version for a zombie of another session",
			            rtask_name(t), t->pgid);
	}
	return 0;
}

static void take_roles(struct restore *r)
{
	array_each (t, &r->tasks) {
		t->sid = (pid_t)t->img->sid;
		t->pgid = (pid_t)t->img->pgid;
		t->role = t->img->state == 2 ? ROLE_ZOMBIE : ROLE_TASK;
		t->exit_signal = (int)t->img->exit_signal;
	}
}

static int check_root(const struct restore *r)
{
	const struct rtask *root = r->tasks.v;

	if (root->role == ROLE_ZOMBIE)
		return fail(-EBADMSG, "%s: the root of the tree is a zombie", rtask_name(root));
	if (r->images->manifest->shell_job && root->sid != root->pid && !r->opt->shell_job)
		return fail(-ENOTSUP,
		            "%s: was saved as a shell job (-j) and must be restored as one: "
		            "give -j",
		            rtask_name(root));
	return 0;
}

/* Zombies and helpers have a script, too, but no state: one thread without a record. */
static int add_script(struct rtask *t)
{
	struct rthread *th;

	if (t->threads.n)
		return 0;
	th = array_add(&t->threads);
	if (!th)
		return fail(-ENOMEM, "plan");
	th->tid = t->pid;
	th->task = t;
	return 0;
}

static int link_fork(struct rtask *t)
{
	if (t->forker) {
		t->next = t->forker->forks;
		t->forker->forks = t;
	}
	if (t->img && t->parent) {
		t->sibling = t->parent->children;
		t->parent->children = t;
	}
	return add_script(t);
}

static int link_forks(struct restore *r)
{
	int ret = 0;

	for (size_t i = r->tasks.n; ret == 0 && i-- > 0;)
		ret = link_fork(&r->tasks.v[i]);
	for (size_t i = r->nhelpers; ret == 0 && i-- > 0;)
		ret = link_fork(&r->helpers[i]);
	return ret;
}

int plan_forks(struct restore *r)
{
	int ret;

	take_roles(r);
	ret = link_parents(r);
	if (ret == 0)
		ret = shares_link(r);
	if (ret == 0)
		ret = check_root(r);
	if (ret < 0)
		return ret;
	/* At most three for each task: for its session, its orphanage and its group. */
	r->helpers = calloc(3 * r->tasks.n, sizeof(*r->helpers));
	if (!r->helpers)
		return fail(-ENOMEM, "plan");
	plan_births(r);
	for (size_t i = 1; i < r->tasks.n; i++) {
		ret = shares_sibling(&r->tasks.v[i]) ? 0 : plan_fork(r, &r->tasks.v[i]);
		if (ret < 0)
			return ret;
	}
	ret = plan_leaderless(r);
	if (ret < 0)
		return ret;
	for (size_t i = 1; i < r->tasks.n; i++) { /* now the sibling is planned */
		struct rtask *by = shares_sibling(&r->tasks.v[i]);

		ret = by ? plan_sibling(&r->tasks.v[i], by) : 0;
		if (ret < 0)
			return ret;
	}
	ret = check_forkers(r);
	if (ret == 0)
		ret = check_orphans(r);
	if (ret == 0)
		ret = shares_are_forked(r);
	if (ret == 0)
		ret = plan_groups(r);
	return ret < 0 ? ret : link_forks(r);
}
