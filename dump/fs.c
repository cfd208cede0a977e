/*
 * Working directory, root and umask, dump half: /proc shows them all. Both
 * directories are kept by path; one that no path leads to (deleted, or something
 * was mounted over it) is carried by inode.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "dump/alike.h"
#include "dump/dump.h"
#include "dump/inode.h"
#include "dump/together.h"
#include "lib/cleanup.h"
#include "lib/fd.h"
#include "lib/log.h"
#include "proto/fs.pb-c.h"

/* What is kept of a directory. */
struct directory {
	struct told_place place;
	char *link, *path;
	uint32_t inode;
};

static void directory_done(struct directory *dir)
{
	free(dir->link);
	free(dir->path);
}

/* The directory that is TOLD, TOLD_CWD or TOLD_ROOT: only a look (OUT false), or to be kept. */
static int directory(struct dump *d, const struct task *t, enum told told, const char *what,
                     bool out, struct directory *ret)
{
	const char *at = told == TOLD_CWD ? "cwd" : "root";
	char name[4352];
	struct holding h = { .task = t, .at = at, .st = &ret->place.st, .name = name };
	int r = together_link(d, t, told, &ret->link, &ret->place);

	if (r == -ENAMETOOLONG)
		return fail(-ENOTSUP, "%s: %s: " LINK_TOO_LONG, task_name(t), what);
	if (r < 0)
		return fail(r, "%s: %s", task_name(t), what);
	snprintf(name, sizeof(name), "%s: %s %s", task_name(t), what, ret->link);
	h.link = ret->link;
	h.leads = ret->place.leads;
	if (*ret->link != '/')
		return fail(-ENOTSUP, "%s: is not reachable from the root directory", name);
	return out ? inode_put(d, &h, &ret->path, &ret->inode) : inode_look(d, &h);
}

static int directories(struct dump *d, const struct task *t, bool out, struct directory *cwd,
                       struct directory *root)
{
	int r = directory(d, t, TOLD_CWD, "working directory", out, cwd);

	return r < 0 ? r : directory(d, t, TOLD_ROOT, "root directory", out, root);
}

static int fs_look(struct dump *d, struct task *t)
{
	auto_(directory_done) struct directory cwd = {}, root = {};

	array_each (th, &t->threads)
		if (!th->exited && th->tid != task_tid(t) &&
		    syscall(SYS_kcmp, task_tid(t), th->tid, KCMP_FS, 0, 0) > 0)
			return fail(-ENOTSUP,
			            "%s: thread %d has a working directory of its own "
			            "(unshare(CLONE_FS)), not supported by this version",
			            task_name(t), th->tid);
	return directories(d, t, false, &cwd, &root);
}

static int fs_take(struct dump *d, struct thread *th, const struct script *s, const struct ask *ask)
{
	auto_(directory_done) struct directory cwd = {}, root = {};
	Img__Fs msg = IMG__FS__INIT;
	uint64_t umask = 0;
	int r = directories(d, th->task, true, &cwd, &root);

	if (r < 0)
		return r;
	if (!status_u64(thread_asked(th)->status, "Umask", 8, &umask))
		return fail(-EPROTO, "%s: no Umask in its status", task_name(th->task));
	msg.cwd = cwd.path, msg.cwd_inode = cwd.inode;
	msg.root = root.path, msg.root_inode = root.inode;
	msg.umask = (uint32_t)umask;
	return image_put(d->out, KIND_fs, (uint32_t)th->task->pid, &msg.base);
}

const struct dump_aspect dump_fs = {
	.scope = SCOPE_PROCESS,
	.table = TABLE_FS,
	.look = fs_look,
	.take = fs_take,
};
