/*
 * How the content of what has no path is read. A description of our own is as good as any, but
 * for those who watch: inotify(7) tells a program of the tree that we have opened and read it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#include "dump/content.h"
#include "dump/inode.h"
#include "lib/log.h"

/* One for all: to end it takes the kernel some ten milliseconds. NULL: there are no such reads. */
static struct quiet *quiet_of(struct dump *d)
{
	if (!d->quiet) {
		d->quiet = calloc(1, sizeof(*d->quiet));
		if (d->quiet && quiet_init(d->quiet) < 0)
			d->quiet->context = 0;
	}
	return d->quiet && d->quiet->context ? d->quiet : NULL;
}

void inode_open_done(struct dump *d)
{
	if (d->quiet)
		quiet_done(d->quiet);
	free(d->quiet);
	d->quiet = NULL;
}

/* The description of the program itself, if that can be read from. */
static int open_quietly(struct dump *d, const struct holding *h, struct source *ret)
{
	if (!h->file || (h->file->flags & O_ACCMODE) == O_WRONLY)
		return -EBADF;
	ret->quiet = quiet_of(d);
	if (!ret->quiet)
		return -EOPNOTSUPP;
	ret->fd = file_steal(h->file);
	if (ret->fd < 0)
		ret->quiet = NULL;
	return ret->fd;
}

int inode_open_again(const struct holding *h)
{
	int fd = openat(h->task->proc, h->at, O_RDONLY | O_NOATIME | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0 && errno == EPERM)
		fd = openat(h->task->proc, h->at, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int inode_open_content(struct dump *d, const struct holding *h, struct source *ret)
{
	bool watched = d->watches;

	if (watched && open_quietly(d, h, ret) >= 0)
		return 0;
	if (watched)
		lose("%s: its content is read through a description of our own: who watches it is "
		     "told that it is opened and read",
		     h->name);
	ret->fd = inode_open_again(h);
	return ret->fd < 0 ? ret->fd : 0;
}
