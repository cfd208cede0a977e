/*
 * cgroups, dump half: who is in which is read from outside (/proc/PID/task/TID/cgroup), for
 * threads can be in others than their process: in hierarchies of version 1, and in threaded ones of
 * version 2. A record is written for each process, and for such a thread. Settings of a cgroup are
 * those of its files that can be written back.
 *
 * Most tasks of a tree are in the same cgroups, that is, have the same text. To read it takes the kernel as
 * long as all else that is asked of a thread, so that while the target stands still it is read of
 * processes, and of the threads of those where some were elsewhere before. Where all were
 * together, those that are moved just then are seen when it runs again: where they are then.
 */
#include "dump/cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dump/dump.h"
#include "dump/together.h"
#include "lib/cgroup.h"
#include "lib/cleanup.h"
#include "lib/fd.h"
#include "lib/log.h"
#include "proto/cgroup.pb-c.h"
#include "proto/cgroup_dir.pb-c.h"

#define DIRS 64 /* more than there are hierarchies */

/* By name "hierarchy:group" (a directory, ids[0]) or by text (what its tasks are in). */
struct node {
	char *name;
	uint32_t ids[DIRS];
	size_t n;
};

struct cgroups {
	void *dirs, *texts;
	struct cgroup_mounts mounts;
	ARRAY(pid_t) parted;  /* processes whose threads are not all in the same */
	struct node *process; /* of the leader that was taken last: its threads follow it */
	uint32_t last;        /* id */
};

static int node_compare(const void *a, const void *b)
{
	const struct node *x = a, *y = b;

	return strcmp(x->name, y->name);
}

static void node_free(void *p)
{
	struct node *node = p;

	free(node->name);
	free(node);
}

/* The node of that name, made if there is none: *RET_NEW. NULL: no memory. */
static struct node *node_of(void **tree, const char *name, bool *ret_new)
{
	const struct node key = { .name = (char *)name };
	struct node **found = tfind(&key, tree, node_compare), *node;

	*ret_new = !found;
	if (found)
		return *found;
	node = calloc(1, sizeof(*node));
	if (node)
		node->name = strdup(name);
	if (node && node->name && tsearch(node, tree, node_compare))
		return node;
	if (node)
		node_free(node);
	return NULL;
}

void cgroups_done(struct dump *d)
{
	if (!d->cgroups)
		return;
	tdestroy(d->cgroups->dirs, node_free);
	tdestroy(d->cgroups->texts, node_free);
	array_done(&d->cgroups->parted);
	cgroup_mounts_done(&d->cgroups->mounts);
	free(d->cgroups);
	d->cgroups = NULL;
}

/* ---- the directories ---- */

struct props {
	ARRAY(Img__CgroupDir__Prop) list;
};

static void props_done(struct props *p)
{
	array_each (prop, &p->list) {
		free(prop->name);
		free(prop->value);
	}
	array_done(&p->list);
}

/* One that cannot be read has no value at present. */
static int add_prop(struct props *p, int dirfd, const char *name)
{
	Img__CgroupDir__Prop *prop;
	char *text = NULL;

	if (faccessat(dirfd, name, W_OK, 0) < 0 && strcmp(name, "devices.list") != 0)
		return 0;
	if (file_read(dirfd, name, &text) < 0)
		return 0;
	prop = array_add(&p->list);
	if (!prop) {
		free(text);
		return -ENOMEM;
	}
	img__cgroup_dir__prop__init(prop);
	prop->name = strdup(name);
	prop->value = text;
	return prop->name ? 0 : -ENOMEM;
}

static int by_name(const void *a, const void *b)
{
	const Img__CgroupDir__Prop *x = a, *y = b;

	return strcmp(x->name, y->name);
}

static void dir_close(DIR **dir)
{
	if (*dir)
		closedir(*dir);
}

static int read_props(struct dump *d, const Img__CgroupDir *msg, struct props *p)
{
	auto_free char *path = NULL;
	auto_(dir_close) DIR *dir = NULL;
	int r = cgroup_path(&d->cgroups->mounts, msg->hierarchy, msg->group, &path);

	if (r < 0)
		return r == -ENOMEM ? r
		                    : 0; /* where it is not mounted there is nothing to be read */
	dir = opendir(path);
	for (struct dirent *e; dir && (e = readdir(dir));) {
		if (!cgroup_is_setting(e->d_name))
			continue;
		r = add_prop(p, dirfd(dir), e->d_name);
		if (r < 0)
			return r;
	}
	if (p->list.n)
		qsort(p->list.v, p->list.n, sizeof(*p->list.v), by_name);
	return 0;
}

static int put_dir(struct dump *d, uint32_t id, const char *hierarchy, const char *group)
{
	auto_(props_done) struct props props = {};
	auto_free Img__CgroupDir__Prop **list = NULL;
	Img__CgroupDir msg = IMG__CGROUP_DIR__INIT;
	int r;

	msg.id = id;
	msg.hierarchy = (char *)hierarchy;
	msg.group = (char *)group;
	r = strcmp(group, "/") ? read_props(d, &msg, &props) : 0;
	list = calloc(props.list.n + 1, sizeof(*list));
	if (r < 0 || !list)
		return r < 0 ? r : -ENOMEM;
	for (size_t i = 0; i < props.list.n; i++)
		list[i] = &props.list.v[i];
	msg.n_props = props.list.n;
	msg.props = list;
	return image_put(d->out, KIND_cgroup_dir, id, &msg.base);
}

/* The id of one directory; its record is written when it is first seen. */
static int dir_id(struct dump *d, const char *hierarchy, const char *group, uint32_t *ret)
{
	auto_free char *name = NULL;
	struct node *node;
	bool new;

	if (asprintf(&name, "%s:%s", hierarchy, group) < 0)
		return -ENOMEM;
	node = node_of(&d->cgroups->dirs, name, &new);
	if (!node)
		return -ENOMEM;
	if (new)
		node->ids[0] = ++d->cgroups->last;
	*ret = node->ids[0];
	return new ? put_dir(d, *ret, hierarchy, group) : 0;
}

/* Ancestors first. */
static int dir_with_ancestors(struct dump *d, const struct cgroup_line *line, uint32_t *ret)
{
	for (char *slash = strchr(line->group + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		int r;

		*slash = '\0';
		r = dir_id(d, line->hierarchy, line->group, ret);
		*slash = '/';
		if (r < 0)
			return r;
	}
	return dir_id(d, line->hierarchy, line->group, ret);
}

/* ---- the tasks ---- */

static int read_lines(struct dump *d, const struct thread *th, const char *text, struct node *node)
{
	auto_(cgroup_line_done) struct cgroup_line line = {};
	int r;

	while ((r = cgroup_line_next(&text, &line)) > 0) {
		if (!cgroup_group_valid(line.group)) {
			lose("%s: thread %d: its cgroup %s:%s, which is outside of what crtool "
			     "sees",
			     task_name(th->task), th->tid, line.hierarchy, line.group);
			continue;
		}
		if (node->n == DIRS)
			return -E2BIG;
		r = dir_with_ancestors(d, &line, &node->ids[node->n++]);
		if (r < 0)
			return r;
	}
	return r;
}

static int put_node(struct dump *d, pid_t owner, struct node *node)
{
	Img__Cgroup msg = IMG__CGROUP__INIT;

	msg.dirs = node->ids;
	msg.n_dirs = node->n;
	return image_put(d->out, KIND_cgroup, (uint32_t)owner, &msg.base);
}

/* What thread TID is in; NULL in *RET: it has ended. */
static int read_text(const struct task *t, pid_t tid, char **ret)
{
	char path[48];
	ssize_t r;

	*ret = NULL;
	snprintf(path, sizeof(path), "task/%d/cgroup", tid);
	r = file_read_record(t->proc, path, ret);
	return r < 0 && r != -ENOENT && r != -ESRCH ? (int)r : 0;
}

/* A main thread that has exited is nowhere: its process is where its others are. */
static pid_t tid_of(const struct thread *th)
{
	return th == th->task->threads.v ? task_tid(th->task) : th->tid;
}

/* ---- before the freeze ---- */

static int note_parted(struct dump *d, pid_t pid)
{
	pid_t *p = array_add(&d->cgroups->parted);

	if (!p)
		return -ENOMEM;
	*p = pid;
	return 0;
}

static bool is_parted(const struct dump *d, pid_t pid)
{
	array_each (p, &d->cgroups->parted)
		if (*p == pid)
			return true;
	return false;
}

/* 1: it is where its process is, or is not any more. */
static int is_with(const struct thread *th, const char *process)
{
	auto_free char *text = NULL;
	int r = read_text(th->task, th->tid, &text);

	return r < 0 ? r : !text || !strcmp(text, process);
}

/* Without -R the records are written before anything runs again. */
static int cgroup_prepare(struct dump *d, struct task *t)
{
	auto_free char *process = NULL;
	int r = 1;

	if (d->opt->cgroup_mode == CGROUPS_IGNORE || !d->opt->leave_running || t->threads.n < 2)
		return 0;
	if (!d->cgroups)
		d->cgroups = calloc(1, sizeof(*d->cgroups));
	if (!d->cgroups)
		return -ENOMEM;
	r = read_text(t, task_tid(t), &process);
	if (r < 0 || !process)
		return r;
	r = 1;
	for (size_t i = 1; r > 0 && i < t->threads.n; i++)
		r = is_with(&t->threads.v[i], process);
	return r == 0 ? note_parted(d, t->pid) : r < 0 ? r : 0;
}

/* ---- frozen ---- */

static int peek_text(struct dump *d, struct thread *th, char **ret)
{
	ssize_t r;

	if (th != th->task->threads.v || th->task->headless)
		return read_text(th->task, tid_of(th), ret);
	r = together_read(d, th->task, TOLD_CGROUP, ret);
	return r < 0 && r != -ENOENT && r != -ESRCH ? (int)r : 0;
}

static int cgroup_peek(struct dump *d, struct thread *th, struct ask *ask)
{
	char *text = NULL;
	int r;

	if (d->opt->cgroup_mode == CGROUPS_IGNORE ||
	    (th != th->task->threads.v && !(d->cgroups && is_parted(d, th->task->pid))))
		return 0;
	r = peek_text(d, th, &text);
	ask->peeked = text;
	return r < 0 ? fail(r, "%s: thread %d: its cgroups", task_name(th->task), th->tid) : 0;
}

/* ---- the records ---- */

static int find_node(struct dump *d, const struct thread *th, const char *text, struct node **ret)
{
	bool new;

	*ret = node_of(&d->cgroups->texts, text, &new);
	if (!*ret)
		return -ENOMEM;
	return new &&*text ? read_lines(d, th, text, *ret) : 0;
}

static int take(struct dump *d, struct thread *th, const char *peeked)
{
	auto_free char *now = NULL;
	bool leader = th == th->task->threads.v;
	struct node *node = d->cgroups->process;
	int r = 0;

	if (!peeked && !leader)
		r = read_text(th->task, th->tid, &now);
	if (r == 0 && (peeked || now || leader))
		r = find_node(d, th, peeked ? peeked : now ? now : "", &node);
	if (r == 0 && leader)
		d->cgroups->process = node;
	if (r < 0 || (!leader && node == d->cgroups->process))
		return r;
	return node->n ? put_node(d, th->tid, node) : 0;
}

static int cgroup_take(struct dump *d, struct thread *th, const struct script *s,
                       const struct ask *ask)
{
	int r;

	if (d->opt->cgroup_mode == CGROUPS_IGNORE)
		return 0;
	if (!d->cgroups)
		d->cgroups = calloc(1, sizeof(*d->cgroups));
	r = d->cgroups ? take(d, th, ask->peeked) : -ENOMEM;
	return r < 0 ? fail(r, "%s: thread %d: its cgroups", task_name(th->task), th->tid) : 0;
}

const struct dump_aspect dump_cgroup = {
	.scope = SCOPE_THREAD,
	.prepare = cgroup_prepare,
	.peek = cgroup_peek,
	.late = true,
	.take = cgroup_take,
};
