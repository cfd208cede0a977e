#include "dump/files_own.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/log.h"

int own_task(struct dump *d)
{
	struct task *t;

	if (d->own)
		return 0;
	t = calloc(1, sizeof(*t));
	if (!t)
		return -ENOMEM;
	d->own = t;
	t->pid = getpid();
	snprintf(t->comm, sizeof(t->comm), "in flight");
	t->proc = open("/proc/self", O_PATH | O_DIRECTORY | O_CLOEXEC);
	t->pidfd = -1;
	return t->proc < 0 ? -errno : 0;
}

void own_task_done(struct dump *d)
{
	if (!d->own)
		return;
	array_each (e, &d->own->fds)
		close(e->fd);
	array_done(&d->own->fds);
	closep(&d->own->proc);
	closep(&d->own->pidfd);
	free(d->own);
	d->own = NULL;
}

/* A descriptor of ours for the file that the name of V leads to, if that is the one. */
static int open_named(const struct task *t, const struct vma *v)
{
	auto_close int root = openat(t->proc, "root", O_PATH | O_DIRECTORY | O_CLOEXEC);
	auto_close int fd = -1;
	struct stat st;

	if (root >= 0 && *v->name == '/')
		fd = openat(root, v->name + 1, O_PATH | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0 || st.st_dev != v->dev || st.st_ino != v->ino)
		return fail(-EPERM,
		            "%s: mapped file %s: it is not at its path, and to look into "
		            "/proc/%d/map_files needs CAP_CHECKPOINT_RESTORE",
		            task_name(t), v->name, t->pid);
	return take_fd(&fd);
}

int own_open_mapped(struct dump *d, const struct task *t, const struct vma *v)
{
	auto_close int fd = open_named(t, v);
	int r = fd < 0 ? fd : own_task(d);
	struct fd_entry *e = r < 0 ? NULL : array_add(&d->own->fds);

	if (!e)
		return r < 0 ? r : -ENOMEM;
	*e = (struct fd_entry){ .fd = take_fd(&fd) };
	return e->fd;
}
