/*
 * Working directory, root and umask, dump half: /proc shows them all. Both
 * directories are kept by path, so the path must lead back to them: a deleted
 * directory, or one that something was mounted over, is refused.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "dump/dump.h"
#include "lib/cleanup.h"
#include "lib/fd.h"
#include "lib/log.h"
#include "proto/fs.pb-c.h"

/* The path of the directory behind LINK ("cwd", "root"), in a fresh string. */
static int directory_path(const struct task *t, const char *link, const char *what, char **ret)
{
	auto_free char *path = NULL;
	struct stat theirs, ours;
	int r = link_read(t->proc, link, &path);

	if (r < 0)
		return fail(r, "%s: %s", task_name(t), what);
	if (fstatat(t->proc, link, &theirs, 0) < 0)
		return fail(-errno, "%s: %s %s", task_name(t), what, path);
	if (!theirs.st_nlink)
		return fail(-ENOTSUP, "%s: %s %s: deleted directories cannot be saved",
		            task_name(t), what, path);
	if (*path != '/' || stat(path, &ours) < 0 || ours.st_dev != theirs.st_dev ||
	    ours.st_ino != theirs.st_ino)
		return fail(-ENOTSUP,
		            "%s: %s %s: this path leads somewhere else (moved, or mounted over), "
		            "so it cannot be found again",
		            task_name(t), what, path);
	*ret = take_ptr(path);
	return 0;
}

static int directories(const struct task *t, char **ret_cwd, char **ret_root)
{
	int r = directory_path(t, "cwd", "working directory", ret_cwd);

	return r < 0 ? r : directory_path(t, "root", "root directory", ret_root);
}

static int fs_look(struct dump *d, struct task *t)
{
	auto_free char *cwd = NULL, *root = NULL;

	array_each (th, &t->threads)
		if (!th->exited && th->tid != task_tid(t) &&
		    syscall(SYS_kcmp, task_tid(t), th->tid, KCMP_FS, 0, 0) > 0)
			return fail(-ENOTSUP,
			            "%s: thread %d has a working directory of its own "
			            "(unshare(CLONE_FS)), not supported by this version",
			            task_name(t), th->tid);
	return directories(t, &cwd, &root);
}

static int fs_take(struct dump *d, struct thread *th, const struct script *s, const struct ask *ask)
{
	auto_free char *cwd = NULL, *root = NULL;
	Img__Fs msg = IMG__FS__INIT;
	uint64_t umask = 0;
	int r = directories(th->task, &cwd, &root);

	if (r < 0)
		return r;
	if (!status_u64(th->status, "Umask", 8, &umask))
		return fail(-EPROTO, "%s: no Umask in its status", task_name(th->task));
	msg.cwd = cwd;
	msg.root = root;
	msg.umask = (uint32_t)umask;
	return image_put(d->out, KIND_fs, (uint32_t)th->task->pid, &msg.base);
}

const struct dump_aspect dump_fs = {
	.scope = SCOPE_PROCESS,
	.look = fs_look,
	.take = fs_take,
};
