/*
 * cgroups, restore half. All processes are moved as soon as they exist, before they have memory that would
 * be charged to those of crtool; their threads follow them. Threads that have others are
 * moved last. What cgroup a task has is not asked of itself: rights and mounts are those of crtool.
 *
 * Nobody is moved who is where he was. What was made is removed again if the restore fails.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/cgroup.h"
#include "lib/cleanup.h"
#include "lib/fd.h"
#include "lib/log.h"
#include "proto/cgroup.pb-c.h"
#include "proto/cgroup_dir.pb-c.h"
#include "restore/cgroup_props.h"
#include "restore/leftover.h"
#include "restore/restore.h"

struct dir {
	const Img__CgroupDir *msg;
	char *group; /* where it is now (--cgroup-root); NULL: not wanted any more */
	char *path;  /* NULL: its hierarchy is not there */
	bool exists; /* before the restore */
	bool own;    /* crtool is in it */
	bool member; /* tasks are in it */
	bool lost;   /* nobody is moved there, and that is told */
};

struct cgroups {
	ARRAY(struct dir) dirs; /* by id, from 1 */
	ARRAY(char *) made;
	struct cgroup_mounts mounts;
	bool ready;
};

static bool makes(enum cgroup_mode mode)
{
	return mode == CGROUPS_SOFT || mode == CGROUPS_FULL || mode == CGROUPS_STRICT;
}

/* ---- what the image says ---- */

static int check_dir(const Img__CgroupDir *msg, uint32_t want)
{
	if (msg->id != want || !cgroup_group_valid(msg->group) || strchr(msg->hierarchy, '/'))
		return fail(-EBADMSG, "cgroup %u: %s:%s", msg->id, msg->hierarchy, msg->group);
	for (size_t i = 0; i < msg->n_props; i++)
		if (strchr(msg->props[i]->name, '/') || !cgroup_is_setting(msg->props[i]->name))
			return fail(-EBADMSG, "cgroup %u: setting %s", msg->id,
			            msg->props[i]->name);
	return 0;
}

/* One of each hierarchy at most. */
static int cgroup_check(struct restore *r, uint32_t owner, const ProtobufCMessage *base)
{
	const Img__Cgroup *msg = (const Img__Cgroup *)base;

	for (size_t i = 0; i < msg->n_dirs; i++) {
		const Img__CgroupDir *dir = (const Img__CgroupDir *)images_one(
			r->images, KIND_cgroup_dir, msg->dirs[i]);

		if (!dir)
			return fail(-EBADMSG,
			            "task %u: is in cgroup %u, which is not in the checkpoint",
			            owner, msg->dirs[i]);
		for (size_t k = 0; k < i; k++) {
			const Img__CgroupDir *other = (const Img__CgroupDir *)images_one(
				r->images, KIND_cgroup_dir, msg->dirs[k]);

			if (!strcmp(dir->hierarchy, other->hierarchy))
				return fail(-EBADMSG,
				            "task %u: is in two cgroups of hierarchy '%s'", owner,
				            dir->hierarchy);
		}
	}
	return 0;
}

/* ---- --cgroup-root ---- */

/* The cgroup of the root task in that hierarchy. */
static const char *base_of(const struct restore *r, const char *hierarchy)
{
	const Img__Cgroup *msg =
		(const Img__Cgroup *)aspect_record(r, KIND_cgroup, (uint32_t)r->tasks.v[0].pid);

	for (size_t i = 0; msg && i < msg->n_dirs; i++) {
		const Img__CgroupDir *dir = (const Img__CgroupDir *)images_one(
			r->images, KIND_cgroup_dir, msg->dirs[i]);

		if (!strcmp(dir->hierarchy, hierarchy))
			return dir->group;
	}
	return NULL;
}

/* "cpu:/new", "/new": the new root for HIERARCHY, or NULL. The last one that fits holds. */
static const char *root_for(const struct words *roots, const char *hierarchy)
{
	const char *found = NULL;

	for (size_t i = 0; i < roots->n; i++) {
		const char *group = strchr(roots->v[i], '/');
		size_t len = (size_t)(group - roots->v[i]);

		if (len == 0 ||
		    (strlen(hierarchy) == len - 1 && !strncmp(roots->v[i], hierarchy, len - 1)))
			found = group;
	}
	return found;
}

static int check_roots(const struct words *roots)
{
	for (size_t i = 0; i < roots->n; i++) {
		const char *group = strchr(roots->v[i], '/');

		if (!group || (group > roots->v[i] && group[-1] != ':') ||
		    !cgroup_group_valid(group))
			return fail(-EINVAL, "--cgroup-root %s: is not [CONTROLLER:]/GROUP",
			            roots->v[i]);
	}
	return 0;
}

/* The rest of GROUP below BASE, "" for itself; NULL: it is not there. */
static const char *below(const char *group, const char *base)
{
	size_t len = strcmp(base, "/") ? strlen(base) : 0;

	if (strncmp(group, base, len) != 0 || (group[len] && group[len] != '/'))
		return NULL;
	return strcmp(group + len, "/") ? group + len : "";
}

/* Ancestors of the old root are none of the new one. */
static int map_group(const struct restore *r, struct dir *dir)
{
	const char *root = root_for(&r->opt->cgroup_root, dir->msg->hierarchy);
	const char *base = base_of(r, dir->msg->hierarchy), *rest;

	if (!root || !base) {
		dir->group = strdup(dir->msg->group);
		return dir->group ? 0 : -ENOMEM;
	}
	rest = below(dir->msg->group, base);
	if (!rest && below(base, dir->msg->group))
		return 0;
	if (asprintf(&dir->group, "%s%s",
	             rest && !strcmp(root, "/") && *rest ? ""
	             : rest                              ? root
	                                                 : "",
	             rest ? rest : dir->msg->group) < 0)
		return -ENOMEM;
	return 0;
}

/* ---- what is there ---- */

static int find_own(struct cgroups *c)
{
	auto_free char *text = NULL;
	auto_(cgroup_line_done) struct cgroup_line line = {};
	int r = (int)file_read(AT_FDCWD, "/proc/self/cgroup", &text);
	const char *at = text;

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	while ((r = cgroup_line_next(&at, &line)) > 0)
		array_each (dir, &c->dirs)
			if (dir->group && !strcmp(dir->msg->hierarchy, line.hierarchy) &&
			    !strcmp(dir->group, line.group))
				dir->own = true;
	return r;
}

static int refuse(const struct dir *dir, int error, const char *why, const char *remedy)
{
	return fail(error, "cgroup %s:%s: %s%s", dir->msg->hierarchy, dir->group, why, remedy);
}

static void tell(struct dir *dir, const char *why)
{
	if (!dir->lost)
		lose("cgroup %s:%s: %s: its tasks stay in that of crtool; --manage-cgroups soft "
		     "makes "
		     "what is missing",
		     dir->msg->hierarchy, dir->group, why);
	dir->lost = true;
}

static int judge(enum cgroup_mode mode, struct dir *dir)
{
	bool top = !strcmp(dir->group, "/");

	if (!dir->path) {
		if (!top && mode != CGROUPS_BACK)
			return refuse(dir, -ENOTSUP, "its hierarchy is not mounted here", "");
		if (!top && !dir->own)
			tell(dir, "its hierarchy is not mounted here");
		dir->lost = true;
	} else if (!dir->exists && !makes(mode)) {
		if (mode != CGROUPS_BACK)
			return refuse(dir, -ENOTSUP, "is not there",
			              "; --manage-cgroups soft makes it");
		tell(dir, "is not there");
	} else if (dir->exists && mode == CGROUPS_STRICT && dir->member && !top && !dir->own) {
		return refuse(dir, -ENOTSUP, "is there already",
		              ", and --manage-cgroups strict makes it");
	}
	return 0;
}

static int look_at(struct cgroups *c, struct dir *dir)
{
	int r = cgroup_path(&c->mounts, dir->msg->hierarchy, dir->group, &dir->path);

	if (r < 0)
		return r == -ENODEV || r == -EXDEV ? 0 : r;
	dir->exists = access(dir->path, F_OK) == 0;
	if (dir->exists || errno == ENOENT || errno == ENOTDIR || errno == EACCES)
		return 0;
	return fail(-errno, "cgroup %s:%s: is it there", dir->msg->hierarchy, dir->group);
}

/* Ancestors are made or have settings; who is only that does not have to be there. */
static bool matters(enum cgroup_mode mode, const struct dir *dir)
{
	return dir->group && (dir->member || makes(mode) || mode == CGROUPS_PROPS);
}

static void find_members(struct restore *r)
{
	size_t n;
	const struct record *rec = images_kind(r->images, KIND_cgroup, &n);

	for (size_t i = 0; i < n; i++) {
		const Img__Cgroup *msg = (const Img__Cgroup *)rec[i].msg;

		for (size_t k = 0; k < msg->n_dirs; k++)
			r->cgroups->dirs.v[msg->dirs[k] - 1].member = true;
	}
}

static int cgroup_plan(struct restore *r)
{
	size_t n;
	const struct record *rec = images_kind(r->images, KIND_cgroup_dir, &n);
	int ret = check_roots(&r->opt->cgroup_root);

	if (ret < 0 || r->opt->cgroup_mode == CGROUPS_IGNORE || !n)
		return ret;
	r->cgroups = calloc(1, sizeof(*r->cgroups));
	for (size_t i = 0; r->cgroups && ret == 0 && i < n; i++) {
		struct dir *dir = array_add(&r->cgroups->dirs);

		if (!dir)
			return -ENOMEM;
		dir->msg = (const Img__CgroupDir *)rec[i].msg;
		ret = check_dir(dir->msg, (uint32_t)i + 1);
		if (ret == 0)
			ret = map_group(r, dir);
		if (ret == 0 && dir->group)
			ret = look_at(r->cgroups, dir);
	}
	if (ret == 0)
		ret = r->cgroups ? find_own(r->cgroups) : -ENOMEM;
	if (ret == 0)
		find_members(r);
	for (size_t i = 0; ret == 0 && i < n; i++)
		if (matters(r->opt->cgroup_mode, &r->cgroups->dirs.v[i]))
			ret = judge(r->opt->cgroup_mode, &r->cgroups->dirs.v[i]);
	return ret;
}

/* ---- making them ---- */

static int make_one(struct restore *r, const char *path)
{
	int place = access(path, F_OK) == 0 ? 0 : leftover_expect(r, LEFT_GROUP, path, 0);
	char **made;

	if (place < 0)
		return place;
	if (mkdir(path, 0755) < 0)
		return errno == EEXIST ? 0 : fail(-errno, "cgroup %s: make it", path);
	made = array_add(&r->cgroups->made);
	if (made)
		*made = strdup(path);
	if (made && *made)
		return 0;
	rmdir(path);
	return -ENOMEM;
}

/* What is above it may be missing, too, below a new root. */
static int make_path(struct restore *restore, struct dir *dir)
{
	size_t top = strlen(dir->path) - strlen(dir->group);

	for (char *slash = strchr(dir->path + top + 1, '/'); slash;
	     slash = strchr(slash + 1, '/')) {
		int r;

		*slash = '\0';
		r = make_one(restore, dir->path);
		*slash = '/';
		if (r < 0)
			return r;
	}
	return make_one(restore, dir->path);
}

static int make_all(struct restore *r)
{
	enum cgroup_mode mode = r->opt->cgroup_mode;

	array_each (dir, &r->cgroups->dirs) {
		int ret = 0;

		if (!dir->path || !strcmp(dir->group, "/"))
			continue;
		if (!dir->exists && makes(mode))
			ret = make_path(r, dir);
		if (ret == 0 &&
		    (dir->exists ? mode == CGROUPS_FULL || mode == CGROUPS_PROPS : makes(mode)))
			ret = cgroup_write_props(dir->path, dir->msg);
		if (ret < 0)
			return ret;
	}
	r->cgroups->ready = true;
	return 0;
}

/* ---- moving tasks ---- */

static int join(const struct restore *r, struct dir *dir, pid_t tid, const char *file)
{
	auto_close int fd = open(dir->path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	char text[16];
	int ret;

	snprintf(text, sizeof(text), "%d", tid);
	ret = fd < 0 ? -errno : file_write(fd, file, text);
	if (ret == 0 || r->opt->cgroup_mode != CGROUPS_BACK || error_passes(ret))
		return ret == 0 ? 0
		                : fail(ret, "cgroup %s:%s: move thread %d there",
		                       dir->msg->hierarchy, dir->group, tid);
	tell(dir, ret == -EACCES || ret == -EPERM ? "crtool may not move anybody there"
	                                          : strerror(-ret));
	return 0;
}

static int each_dir(struct restore *r, const struct rthread *th, const Img__Cgroup *msg, bool alone)
{
	for (size_t i = 0; i < msg->n_dirs; i++) {
		struct dir *dir = &r->cgroups->dirs.v[msg->dirs[i] - 1];
		const char *file = !alone                 ? "cgroup.procs"
		                   : *dir->msg->hierarchy ? "tasks"
		                                          : "cgroup.threads";
		int ret;

		if (!dir->path || dir->lost || (dir->own && !alone))
			continue;
		ret = join(r, dir, th->tid, file);
		if (ret < 0)
			return ret;
	}
	return 0;
}

static int cgroup_begin(struct restore *r, struct rthread *th, const ProtobufCMessage *base)
{
	int ret = 0;

	if (!r->cgroups)
		return 0;
	if (!r->cgroups->ready)
		ret = make_all(r);
	return ret < 0 ? ret : each_dir(r, th, (const Img__Cgroup *)base, false);
}

static int cgroup_finish(struct restore *r, struct rthread *th, const ProtobufCMessage *base)
{
	if (!r->cgroups || th == th->task->threads.v)
		return 0;
	return each_dir(r, th, (const Img__Cgroup *)base, true);
}

/* Those who were in it may still be on their way out. */
static void remove_made(const char *path)
{
	for (int i = 0; rmdir(path) < 0 && errno == EBUSY && i < 200; i++)
		usleep(5000);
}

static void cgroup_done(struct restore *r)
{
	struct cgroups *c = r->cgroups;

	if (!c)
		return;
	for (size_t i = c->made.n; i-- > 0;) {
		if (!r->committed)
			remove_made(c->made.v[i]);
		free(c->made.v[i]);
	}
	array_each (dir, &c->dirs) {
		free(dir->group);
		free(dir->path);
	}
	array_done(&c->dirs);
	array_done(&c->made);
	cgroup_mounts_done(&c->mounts);
	free(c);
	r->cgroups = NULL;
}

const struct restore_aspect restore_cgroup = {
	.check = cgroup_check,
	.plan = cgroup_plan,
	.begin = cgroup_begin,
	.finish = cgroup_finish,
	.done = cgroup_done,
};
