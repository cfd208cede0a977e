/*
 * Tasks that share tables. kcmp(2) does not only compare, it orders: so the
 * tables of one type are kept in a search tree, ordered first by what is known of
 * them anyhow (a hash of the mappings or descriptors), and where that is equal,
 * as among the children of one parent, by kcmp(2): its calls are the logarithm
 * of the number of look-alikes, per task.
 *
 * At restore a table is shared with the one who forks: a parent, or a sibling
 * (CLONE_PARENT). Sharers who are further apart, because somebody between them
 * has ended or has left the table (unshare(2)), are refused.
 */
#include "dump/share.h"

#include <errno.h>
#include <search.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "dump/alike.h"
#include "lib/cleanup.h"
#include "lib/log.h"
#include "lib/procfs.h"

#define PRIME UINT64_C(0x100000001b3)

struct node {
	uint64_t key; /* equal for the same table */
	enum table table;
	struct task *task;
	int *error; /* in the node that is searched for */
};

int table_compare(pid_t a, pid_t b, enum table table, int *ret_order)
{
	int r = (int)syscall(SYS_kcmp, a, b, table_types[table].kcmp, 0, 0);

	if (r < 0 && errno != EOPNOTSUPP)
		return -errno;
	/* A kernel without that table says EOPNOTSUPP: nobody has one. */
	*ret_order = r == 1 ? -1 : r == 2 ? 1 : 0;
	return 0;
}

static int compare(const void *a, const void *b)
{
	const struct node *x = a, *y = b;
	int *error = x->error ? x->error : y->error;
	int r, order;

	if (x->key != y->key)
		return x->key < y->key ? -1 : 1;
	if (x->task == y->task)
		return 0;
	r = table_compare(task_tid(x->task), task_tid(y->task), x->table, &order);
	if (r < 0 && error)
		*error = r;
	return r < 0 ? -1 : order;
}

static uint64_t mix(uint64_t hash, uint64_t value)
{
	return (hash ^ value ^ value >> 32) * PRIME;
}

/* What two tasks have in common if they share the table; while they run, nothing is sure. */
static uint64_t key_of(const struct dump *d, const struct task *t, enum table table)
{
	uint64_t key = 0;

	if (d->frozen && table == TABLE_VM)
		array_each (v, &t->vmas)
			key = mix(mix(key, v->start), v->end);
	if (d->frozen && table == TABLE_FILES)
		array_each (e, &t->fds)
			key = mix(mix(key, (uint64_t)e->fd), e->file);
	return key;
}

/* The first task of TREE that has the same table as T, which may be T itself. */
static int find_owner(const struct dump *d, struct task *t, enum table table, void **tree)
{
	struct node *node = malloc(sizeof(*node)), **found;
	int error = 0;

	if (!node)
		return -ENOMEM;
	*node = (struct node){ key_of(d, t, table), table, t, &error };
	found = tsearch(node, tree, compare);
	node->error = NULL;
	if (!found || *found != node)
		free(node);
	if (!found)
		return -ENOMEM;
	t->shares[table] = (*found)->task;
	return error;
}

static bool lives(const struct task *t)
{
	return t->state != TASK_ZOMBIE && t->threads.n;
}

/* Who shares handlers shares memory, as clone(2) wants it; execve(2) ends both. */
static bool may_share(const struct task *t, enum table table)
{
	return table != TABLE_SIGHAND || t->shares[TABLE_VM]->mm_users > 1;
}

/*
 * Tasks come to share a table when one of them is born, and never later: if none of
 * those that were there before the freeze did, and nobody has come, none does.
 */
static bool all_alone(const struct dump *d, enum table table)
{
	array_each (t, &d->tasks)
		if (lives(t) && !(t->alone & 1u << table))
			return false;
	return true;
}

static void note_alone(struct dump *d, enum table table)
{
	array_each (t, &d->tasks)
		t->alone |= 1u << table;
	array_each (t, &d->tasks)
		if (t->shares[table] != t) {
			t->alone &= ~(1u << table);
			t->shares[table]->alone &= ~(1u << table);
		}
}

static int find_table(struct dump *d, enum table table)
{
	void *tree = NULL;
	bool sure = true;
	int r = 0;

	if (d->frozen && all_alone(d, table)) {
		array_each (t, &d->tasks)
			if (lives(t) && table == TABLE_VM)
				t->mm_users = 1, t->mm_asked = alike_asked(t);
		return 0;
	}
	array_each (t, &d->tasks) {
		if (!lives(t) || !may_share(t, table))
			continue;
		r = table_types[table].optional ? table_has(d, task_tid(t), table) : 1;
		if (r == 0)
			continue;
		if (r > 0)
			r = find_owner(d, t, table, &tree);
		if (r < 0 && d->frozen) {
			fail(r, "%s: with whom does it share its %s?", task_name(t),
			     table_types[table].name);
			break;
		}
		sure &= r >= 0; /* while it runs, it may end */
		r = 0;
		if (table == TABLE_VM) {
			t->shares[table]->mm_users++;
			t->shares[table]->mm_asked += alike_asked(t);
		}
	}
	tdestroy(tree, free);
	if (sure)
		note_alone(d, table);
	return r;
}

int tables_find(struct dump *d)
{
	int r = 0;

	array_each (t, &d->tasks) {
		t->mm_users = t->mm_asked = 0;
		for (int table = 0; table < TABLES; table++)
			t->shares[table] = t;
	}
	for (int table = TABLE_VM; r == 0 && table < TABLES; table++)
		r = find_table(d, table);
	return r;
}

/* Does BY have all the tables that T shares with those before it? */
static bool shares_all(const struct task *t, const struct task *by)
{
	for (int table = TABLE_VM; table < TABLES; table++)
		if (t->shares[table] != t && t->shares[table] != by->shares[table])
			return false;
	return true;
}

/* One of those that may fork T: its parent, or an owner that is a sibling. */
static bool has_forker(const struct task *t)
{
	if (shares_all(t, t->parent))
		return true;
	for (int table = TABLE_VM; table < TABLES; table++) {
		const struct task *owner = t->shares[table];

		if (owner != t && owner->parent == t->parent && shares_all(t, owner))
			return true;
	}
	return false;
}

int tables_check(struct dump *d, const struct task *t)
{
	int table = TABLE_VM;

	if (!t->parent || !lives(t) || has_forker(t))
		return 0;
	while (table < TABLES - 1 &&
	       (t->shares[table] == t || t->shares[table] == t->parent->shares[table]))
		table++;
	return fail(-ENOTSUP,
	            "%s: shares its %s with %s, but not by a parent or sibling who shares all "
	            "that it shares, not supported by this version",
	            task_name(t), table_types[table].name, task_name(t->shares[table]));
}
