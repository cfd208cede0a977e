/*
 * Locks on files, dump half. fdinfo of a descriptor shows what was locked
 * through its description (fs/locks.c, show_fd_locks()): flock(2) and OFD locks,
 * which belong to it, and the POSIX locks of the very process. Who waits for a
 * lock does so in a system call, which is entered again after a restore.
 *
 *	lock:	1: POSIX  ADVISORY  READ 6063 fe:00:10953011 1073741826 1073742335
 *
 * A lease stops others from opening the file until its holder has given it up:
 * between dump and restore nobody does. Of one that is being broken what it shall become is shown
 * (target_leasetype()), not what it is.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>

#include "dump/dump.h"
#include "lib/cleanup.h"
#include "lib/log.h"
#include "proto/locks.pb-c.h"

static const struct {
	const char *name;
	Img__Locks__Type type;
} types[] = {
	{ "POSIX", IMG__LOCKS__TYPE__POSIX },
	{ "OFDLCK", IMG__LOCKS__TYPE__OFD },
	{ "FLOCK", IMG__LOCKS__TYPE__FLOCK },
	{ "LEASE", IMG__LOCKS__TYPE__LEASE },
};

static bool is_lock(const char *line)
{
	return !strncmp(line, "lock:", strlen("lock:"));
}

/* A lease of MODE, which somebody waits for. To read is one only of a file that is open for nothing else. */
static bool parse_breaking(const char *mode, uint32_t flags, Img__Locks__Lock *ret)
{
	bool downgrade = !strcmp(mode, "READ");

	ret->breaking = downgrade ? IMG__LOCKS__BREAKING__TO_READ : IMG__LOCKS__BREAKING__TO_NONE;
	ret->write = downgrade || (flags & O_ACCMODE) != O_RDONLY;
	return downgrade || !strcmp(mode, "UNLCK");
}

/* One line, to its end, of a file with these FLAGS. -EPROTO: not as the kernel writes it. -ENOTSUP: of another type. */
static int lock_parse(const char *text, uint32_t flags, Img__Locks__Lock *ret)
{
	char line[128], name[16], state[16], mode[16], end[24];

	if (!line_cut(text, line, sizeof(line)) ||
	    sscanf(line, "lock: %*d: %15s %15s %15s %*d %*s %" SCNu64 " %23s", name, state, mode,
	           &ret->start, end) != 5)
		return -EPROTO;
	ret->write = !strcmp(mode, "WRITE");
	if (!strcmp(state, "BREAKING") ? !parse_breaking(mode, flags, ret)
	                               : !ret->write && strcmp(mode, "READ") != 0)
		return -ENOTSUP;
	ret->end = UINT64_MAX;
	if (strcmp(end, "EOF") != 0 && sscanf(end, "%" SCNu64, &ret->end) != 1)
		return -EPROTO;
	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		if (strcmp(types[i].name, name) != 0)
			continue;
		ret->type = types[i].type;
		return 0;
	}
	return -ENOTSUP;
}

/* Call FN for every lock that is T's to tell. */
static int locks_each(struct dump *d, const struct task *t,
                      int (*fn)(const Img__Locks__Lock *lock, void *arg), void *arg)
{
	array_each (e, &t->fds) {
		const struct file *f = &d->files.v[e->file];

		for (const char *at = e->locks; at && *at;
		     at += strcspn(at, "\n"), at += *at == '\n') {
			Img__Locks__Lock lock = IMG__LOCKS__LOCK__INIT;
			int r = is_lock(at) ? lock_parse(at, f->flags, &lock) : 0;

			if (!is_lock(at)) /* what the kind of file tells comes behind them */
				continue;
			if (r < 0)
				return fail(r, "%s: fd %d: %s: %.*s: not supported by this version",
				            task_name(t), e->fd, f->link, (int)strcspn(at, "\n"),
				            at);
			lock.fd = (uint32_t)e->fd;
			/* What belongs to the description is told where that was first seen. */
			if (lock.type != IMG__LOCKS__TYPE__POSIX &&
			    (f->task != t || f->fd != e->fd))
				continue;
			r = fn ? fn(&lock, arg) : 0;
			if (r < 0)
				return r;
		}
	}
	return 0;
}

static int locks_look(struct dump *d, struct task *t)
{
	return locks_each(d, t, NULL, NULL);
}

struct lock_list {
	ARRAY(Img__Locks__Lock) all;
};

static int lock_collect(const Img__Locks__Lock *lock, void *arg)
{
	struct lock_list *list = arg;
	Img__Locks__Lock *at = array_add(&list->all);

	if (!at)
		return -ENOMEM;
	*at = *lock;
	return 0;
}

static int locks_put(struct dump *d, const struct task *t, struct lock_list *list)
{
	Img__Locks msg = IMG__LOCKS__INIT;
	auto_free Img__Locks__Lock **locks = calloc(list->all.n, sizeof(*locks));

	if (!locks)
		return -ENOMEM;
	for (size_t i = 0; i < list->all.n; i++)
		locks[i] = &list->all.v[i];
	msg.n_lock = list->all.n;
	msg.lock = locks;
	return image_put(d->out, KIND_locks, (uint32_t)t->pid, &msg.base);
}

static int locks_take(struct dump *d, struct thread *th, const struct script *s,
                      const struct ask *ask)
{
	struct lock_list list = {};
	int r = locks_each(d, th->task, lock_collect, &list);

	if (r == 0 && list.all.n)
		r = locks_put(d, th->task, &list);
	array_done(&list.all);
	return r;
}

const struct dump_aspect dump_locks = {
	.scope = SCOPE_PROCESS,
	.table = TABLE_FILES,
	.look = locks_look,
	.take = locks_take,
};
