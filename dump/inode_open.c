/*
 * How the content of what has no path is read. A description of our own is as good as any, but
 * for those who watch: inotify(7) tells a program of the tree that we have opened and read it.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "dump/content.h"
#include "dump/inode.h"
#include "lib/log.h"

bool tree_watches(const struct dump *d)
{
	array_each (f, &d->files)
		if (strstr(f->fdinfo ?: "", "notify "))
			return true;
	return false;
}

/* The description of the program itself, if that can be read from. */
static int open_quietly(const struct holding *h, struct source *ret)
{
	int r;

	if (!h->file || (h->file->flags & O_ACCMODE) == O_WRONLY)
		return -EBADF;
	r = quiet_init(&ret->quiet);
	if (r < 0)
		return r;
	ret->fd = file_steal(h->file);
	if (ret->fd < 0)
		quiet_done(&ret->quiet);
	return ret->fd;
}

int inode_open_again(const struct holding *h)
{
	int fd = openat(h->task->proc, h->at, O_RDONLY | O_NOATIME | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0 && errno == EPERM)
		fd = openat(h->task->proc, h->at, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int inode_open_content(const struct dump *d, const struct holding *h, struct source *ret)
{
	bool watched = tree_watches(d);

	if (watched && open_quietly(h, ret) >= 0)
		return 0;
	if (watched)
		lose("%s: its content is read through a description of our own: who watches it is "
		     "told that it is opened and read",
		     h->name);
	ret->fd = inode_open_again(h);
	return ret->fd < 0 ? ret->fd : 0;
}
