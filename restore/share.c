/*
 * Tasks that share memory, descriptors ... (clone(2) without CLONE_THREAD): the
 * one whose record stands for the table, and that a fork can make it so. A table
 * is shared with the one who forks, so of all who share it exactly one may be
 * forked by somebody who does not.
 */
#include <errno.h>

#include "lib/log.h"
#include "restore/restore.h"
#include "restore/share.h"

static uint32_t owner_of(const Img__Task *img, enum table table)
{
	switch (table) {
	case TABLE_VM:
		return img->memory_of;
	case TABLE_FILES:
		return img->files_of;
	case TABLE_FS:
		return img->fs_of;
	case TABLE_SIGHAND:
		return img->sighand_of;
	case TABLE_SYSVSEM:
		return img->sysvsem_of;
	case TABLE_IO:
		return img->io_of;
	default:
		return 0;
	}
}

/* An owner is a task that lives and has its table from nobody. */
static int link_table(struct restore *r, struct rtask *t, enum table table)
{
	uint32_t pid = owner_of(t->img, table);
	struct rtask *owner = pid ? rtask_find(r, (pid_t)pid) : t;

	if (!owner || (pid && (owner == t || owner->role != ROLE_TASK || t->role != ROLE_TASK ||
	                       owner_of(owner->img, table))))
		return fail(-EBADMSG, "%s: cannot have the %s of task %u", rtask_name(t),
		            table_types[table].name, pid);
	t->shares[table] = owner;
	r->sharing |= owner != t;
	return 0;
}

int shares_link(struct restore *r)
{
	array_each (t, &r->tasks) {
		for (int table = 0; table < TABLES; table++) {
			int ret = link_table(r, t, table);

			if (ret < 0)
				return ret;
		}
	}
	/* clone(2) */
	array_each (t, &r->tasks)
		if (t->shares[TABLE_SIGHAND] != t &&
		    t->shares[TABLE_VM] != t->shares[TABLE_SIGHAND]->shares[TABLE_VM])
			return fail(-EBADMSG, "%s: signal handlers are shared without memory",
			            rtask_name(t));
	return 0;
}

/* Has BY all that T shares with those before it? */
static bool shares_all(const struct rtask *t, const struct rtask *by)
{
	for (int table = TABLE_VM; table < TABLES; table++)
		if (t->shares[table] != t && t->shares[table] != by->shares[table])
			return false;
	return true;
}

struct rtask *shares_sibling(const struct rtask *t)
{
	if (shares_all(t, t->parent))
		return NULL;
	for (int table = TABLE_VM; table < TABLES; table++) {
		struct rtask *owner = t->shares[table];

		if (owner != t && owner->parent == t->parent && shares_all(t, owner))
			return owner;
	}
	return NULL;
}

static int check_forker(const struct rtask *t, enum table table)
{
	const struct rtask *owner = t->shares[table];

	if (owner == t || (t->forker && t->forker->shares[table] == owner))
		return 0;
	return fail(-ENOTSUP, "%s: shares its %s with %s, from which it is not forked",
	            rtask_name(t), table_types[table].name, rtask_name(owner));
}

int shares_are_forked(const struct restore *r)
{
	for (size_t i = 0; r->sharing && i < r->tasks.n; i++) {
		const struct rtask *t = &r->tasks.v[i];

		for (int table = TABLE_VM; table < TABLES; table++) {
			int ret = check_forker(t, table);

			if (ret < 0)
				return ret;
		}
	}
	return 0;
}
