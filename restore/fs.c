/*
 * Working directory, root and umask, restore half. The coordinator opens both
 * directories as its caller sees them and passes them on through the pool, so
 * that the order of chroot and chdir does not matter. Early, for the pool is
 * closed once the process is built.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/kernel.h"
#include "lib/log.h"
#include "proto/fs.pb-c.h"
#include "restore/inode.h"
#include "restore/restore.h"

static int fs_check(struct restore *r, uint32_t owner, const ProtobufCMessage *base)
{
	const Img__Fs *msg = (const Img__Fs *)base;

	if (*msg->cwd != '/' || *msg->root != '/' || msg->umask > 0777)
		return fail(-EBADMSG, "task %u: no working directory, root or umask", owner);
	if ((msg->root_inode || strcmp(msg->root, "/") != 0) && !own_capability(CAP_SYS_CHROOT))
		return fail(-EPERM,
		            "task %u: has the root directory %s, which needs CAP_SYS_CHROOT; "
		            "crtool lacks that here",
		            owner, msg->root);
	if (msg->cwd_inode) {
		int e = inode_check(r, msg->cwd_inode, S_IFDIR, msg->cwd);

		if (e < 0)
			return e;
	}
	return msg->root_inode ? inode_check(r, msg->root_inode, S_IFDIR, msg->root) : 0;
}

/* A pool descriptor; all tasks inherit all of them, so that there is one for each path. */
struct opened {
	const char *path; /* of the record */
	int fd;
};

static int by_path(const void *a, const void *b)
{
	const struct opened *x = a, *y = b;

	return strcmp(x->path, y->path);
}

/* Kept for others with that path. */
static int keep(struct restore *r, const char *path, int fd)
{
	struct opened *opened = fd < 0 ? NULL : malloc(sizeof(*opened));

	if (fd < 0)
		return fd;
	if (!opened)
		return -ENOMEM;
	*opened = (struct opened){ path, fd };
	if (tsearch(opened, &r->directories, by_path))
		return fd;
	free(opened);
	return -ENOMEM;
}

static int open_path(struct restore *r, const struct rtask *t, const char *what, const char *path)
{
	int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return fail(-errno, "%s: %s %s", rtask_name(t), what, path);
	if (faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) < 0) {
		int e = -errno;

		close(fd);
		return fail(e, "%s: %s %s", rtask_name(t), what, path);
	}
	return keep(r, path, pool_add(r, fd));
}

static int open_directory(struct restore *r, const struct rtask *t, const char *what,
                          const char *path, uint32_t inode)
{
	const struct opened key = { .path = path };
	struct opened *const *found = inode ? NULL : tfind(&key, &r->directories, by_path);

	if (inode)
		return inode_get(r, inode);
	return found ? (*found)->fd : open_path(r, t, what, path);
}

static int fs_emit(struct restore *r, struct rthread *th, const ProtobufCMessage *base,
                   struct script *s)
{
	const Img__Fs *msg = (const Img__Fs *)base;
	int cwd = open_directory(r, th->task, "working directory", msg->cwd, msg->cwd_inode);

	if (cwd < 0)
		return cwd;
	if (msg->root_inode || strcmp(msg->root, "/") != 0) {
		int root =
			open_directory(r, th->task, "root directory", msg->root, msg->root_inode);

		if (root < 0)
			return root;
		script_call(s, SYS_fchdir, root);
		script_call(s, SYS_chroot, script_string(s, "."));
	}
	script_call(s, SYS_fchdir, cwd);
	script_call(s, SYS_umask, msg->umask);
	return 0;
}

static void fs_done(struct restore *r)
{
	tdestroy(r->directories, free);
	r->directories = NULL;
}

const struct restore_aspect restore_fs = {
	.table = TABLE_FS,
	.check = fs_check,
	.emit[PHASE_BUILD] = fs_emit,
	.done = fs_done,
};
