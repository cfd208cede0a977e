/* --prev-images-dir: the checkpoint that has the pages that did not change since. */
#include "dump/track.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "images/thin.h"
#include "lib/cleanup.h"
#include "lib/log.h"

/* PATH as it is seen from DIR; both are absolute, without links. */
static char *relative_path(const char *dir, const char *path)
{
	size_t same = 0, up = 0;
	char *ret, *end;

	for (size_t i = 0; dir[i] == path[i]; i++) {
		if (dir[i] == '/')
			same = i;
		if (!dir[i])
			return strdup(".");
	}
	for (const char *at = dir + same; *at; at++)
		up += *at == '/' && at[1];
	ret = malloc(3 * up + strlen(path + same) + 1);
	if (!ret)
		return NULL;
	end = ret;
	while (up--)
		end = stpcpy(end, "../");
	strcpy(end, path + same + 1);
	return ret;
}

/* What the manifest says of it. */
static int name_parent(struct dump *d, const char *dir, char *path)
{
	size_t depth = 1;

	d->parent_path = path;
	if (!path)
		return -ENOMEM;
	for (const struct images *im = d->parent; im; im = im->parent)
		depth++;
	if (depth > CHAIN_MAX + 1)
		return fail(
			-ENOTSUP,
			"%s: is an increment of %u others; begin anew, without --prev-images-dir",
			dir, CHAIN_MAX);
	img__manifest__parent__init(&d->parent_msg);
	d->parent_msg.path = d->parent_path;
	d->parent_msg.id = d->parent->manifest->id;
	d->manifest->parent = &d->parent_msg;
	return 0;
}

/* Directories that are moved together stay together. */
static int note_parent(struct dump *d, const char *dir)
{
	auto_free char *own = realpath(d->opt->dir, NULL), *other = realpath(dir, NULL);

	if (!own || !other)
		return fail(-errno, "%s: find its place beside %s", dir, d->opt->dir);
	return name_parent(d, dir, relative_path(own, other));
}

int parent_take(struct dump *d)
{
	d->parent = *d->opt->chain;
	*d->opt->chain = NULL;
	return name_parent(d, d->opt->chain_path, strdup(d->opt->chain_path));
}

/* Pages that are encrypted here are so there, with the same key; who signed it is the restore's matter. */
int parent_open(struct dump *d)
{
	auto_free char *dir = NULL;
	struct image_keys keys = {};
	bool crypt = d->opt->keys && d->opt->keys->has_crypt;
	const char *prev = d->opt->prev;
	int r;

	if (*prev == '/')
		dir = strdup(prev);
	else if (asprintf(&dir, "%s/%s", d->opt->dir, prev) < 0)
		dir = NULL;
	if (!dir)
		return -ENOMEM;
	if (crypt) {
		keys = *d->opt->keys;
		keys.has_sign = keys.has_verify = false;
	}
	r = images_read(dir, PAGES_FOUND, crypt ? &keys : NULL, &d->parent);
	crypto_wipe(&keys, sizeof(keys));
	if (r < 0)
		return r;
	if (d->parent->manifest->id.len != CHAIN_ID)
		return fail(-ENOTSUP,
		            "%s: was made by a crtool that knew no increments; dump "
		            "without --prev-images-dir",
		            dir);
	r = note_parent(d, dir);
	return r == 0 && d->opt->dedup ? thin_check(d->parent, d->opt->keys) : r;
}
