#include "lib/watched.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/cleanup.h"

#define WATCHES_MAX (1 << 20)
#define DEEP        256 /* directories in each other */
#define PATH_SIZE   4096

/* Where things are. */
struct places {
	struct place group, marks, in_group, connector, type, object;
	struct place ino, sb, dev, aliases, next, alias, hashed, parent, name;
};

static int places_find(const struct btf *b, struct places *p)
{
	const struct {
		struct place *place;
		const char *type, *path;
		bool whole; /* a structure: only where it is */
	} wanted[] = {
		{ &p->group, "file", "private_data", false },
		{ &p->marks, "fsnotify_group", "marks_list", true },
		{ &p->in_group, "fsnotify_mark", "g_list", true },
		{ &p->connector, "fsnotify_mark", "connector", false },
		{ &p->type, "fsnotify_mark_connector", "type", false },
		{ &p->object, "fsnotify_mark_connector", "obj", false },
		{ &p->ino, "inode", "i_ino", false },
		{ &p->sb, "inode", "i_sb", false },
		{ &p->dev, "super_block", "s_dev", false },
		{ &p->aliases, "inode", "i_dentry.first", false },
		{ &p->alias, "dentry", "d_u.d_alias", true },
		{ &p->hashed, "dentry", "d_hash.pprev", false },
		{ &p->parent, "dentry", "d_parent", false },
		{ &p->name, "dentry", "d_name.name", false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(wanted); i++) {
		*wanted[i].place = btf_place(b, wanted[i].type, wanted[i].path);
		if (!wanted[i].place->found || (!wanted[i].whole && !wanted[i].place->size))
			return -EOPNOTSUPP;
	}
	p->next = (struct place){ .found = true, .size = 8 }; /* of a list */
	return 0;
}

struct reader {
	const struct kmem *k;
	struct places at;
};

/* 0 where nothing can be read. */
static uint64_t get(const struct reader *r, uint64_t at, const struct place *place)
{
	uint64_t value = 0;

	return kmem_read(r->k, at, place, &value) < 0 ? 0 : value;
}

/* The text at AT, at most SIZE bytes of it: how long it is. */
static size_t text_read(const struct reader *r, uint64_t at, char *ret, size_t size)
{
	const struct place word = { .found = true, .size = 8 };
	size_t n = 0;

	while (n < size) {
		uint64_t bytes = get(r, (at + n) & ~UINT64_C(7), &word);

		for (unsigned i = (at + n) & 7; i < 8 && n < size; i++, n++) {
			ret[n] = (char)(bytes >> 8 * i);
			if (!ret[n])
				return n;
		}
	}
	return n;
}

/* The name at AT goes before END, below which there is room down to START. NULL: there is too little. */
static char *name_put(const struct reader *r, uint64_t at, char *start, char *end)
{
	char name[256];
	size_t n = at ? text_read(r, at, name, sizeof(name)) : 0;

	if (!n || n >= sizeof(name) || (size_t)(end - start) < n + 1)
		return NULL;
	end -= n;
	memcpy(end, name, n);
	*--end = '/';
	return end;
}

/* The first name of INODE that is not gone, up to the root; in a fresh string, or NULL. */
static char *path_of(const struct reader *r, uint64_t inode)
{
	uint64_t node = get(r, inode, &r->at.aliases), dentry = node - r->at.alias.at;
	char path[PATH_SIZE], *at = path + sizeof(path) - 1;

	*at = '\0';
	for (int deep = 0; at && node && deep < DEEP; deep++) {
		uint64_t parent = get(r, dentry, &r->at.parent);

		if (!parent)
			return NULL;
		if (parent == dentry)
			return strdup(at);
		if (!get(r, dentry, &r->at.hashed))
			return NULL;
		at = name_put(r, get(r, dentry, &r->at.name), path, at);
		dentry = parent;
	}
	return NULL;
}

/* Its inode, if it is the mark of one. */
static uint64_t inode_of(const struct reader *r, uint64_t mark)
{
	uint64_t connector = get(r, mark, &r->at.connector), type = 0;

	if (!connector || kmem_read(r->k, connector, &r->at.type, &type) < 0 || type)
		return 0;
	return get(r, connector, &r->at.object);
}

static int mark_add(const struct reader *r, uint64_t mark, struct watched_list *ret)
{
	uint64_t inode = inode_of(r, mark);
	auto_free char *path = inode ? path_of(r, inode) : NULL;
	struct watched *slot = path ? array_add(&ret->all) : NULL;

	if (!path)
		return 0;
	if (!slot)
		return -ENOMEM;
	slot->ino = get(r, inode, &r->at.ino);
	slot->sdev = (uint32_t)get(r, get(r, inode, &r->at.sb), &r->at.dev);
	slot->path = take_ptr(path);
	return 0;
}

static int compare(const void *a, const void *b)
{
	const struct watched *x = a, *y = b;

	return x->sdev != y->sdev ? (x->sdev < y->sdev ? -1 : 1)
	                          : (x->ino > y->ino) - (x->ino < y->ino);
}

const struct watched *watched_find(const struct watched_list *l, uint32_t sdev, uint64_t ino)
{
	const struct watched key = { .ino = ino, .sdev = sdev };
	const struct watched *w =
		l->all.n ? bsearch(&key, l->all.v, l->all.n, sizeof(key), compare) : NULL;

	while (w && w > l->all.v && compare(w - 1, &key) == 0)
		w--;
	return w;
}

int watched_read(const struct kmem *k, int fd, struct watched_list *ret)
{
	struct reader r = { .k = k };
	uint64_t file = 0, head, node;
	int e = places_find(k->btf, &r.at);

	if (e == 0)
		e = kmem_file(k, fd, &file);
	if (e < 0)
		return e;
	head = get(&r, file, &r.at.group) + r.at.marks.at;
	node = get(&r, head, &r.at.next);
	for (int i = 0; e == 0 && node && node != head && i < WATCHES_MAX; i++) {
		e = mark_add(&r, node - r.at.in_group.at, ret);
		node = get(&r, node, &r.at.next);
	}
	if (e < 0)
		watched_done(ret);
	else if (ret->all.n)
		qsort(ret->all.v, ret->all.n, sizeof(*ret->all.v), compare);
	return e;
}

void watched_done(struct watched_list *l)
{
	array_each (w, &l->all)
		free(w->path);
	array_done(&l->all);
}
