/*
 * A parent is known by its id, 16 random bytes in its manifest: what is in its
 * files is checked as that of any checkpoint. The path comes out of an image
 * and may lead anywhere: what is found there is refused unless it has the
 * id. As a child knows its parent's id before it has one itself, there is no way
 * to forge a circle by chance; by intent there is, and every id may come only once.
 */
#define _GNU_SOURCE
#include "images/chain.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#include "images/decode.h"
#include "images/format.h"
#include "lib/cleanup.h"
#include "lib/log.h"
#include "proto/pages.pb-c.h"

static bool same_id(const ProtobufCBinaryData *a, const ProtobufCBinaryData *b)
{
	return a->len == b->len && !memcmp(a->data, b->data, a->len);
}

static int field_fail(const struct images *im, const char *what)
{
	return fail(-EBADMSG, "checkpoint %s: " MANIFEST_FILE ": %s; " DAMAGED, im->dir, what);
}

int chain_check(const struct images *im)
{
	const Img__Manifest *m = im->manifest;
	const Img__Manifest__Parent *p = m->parent;

	if (m->id.len && m->id.len != CHAIN_ID)
		return field_fail(im, "impossible id");
	if (p && (m->id.len != CHAIN_ID || p->id.len != CHAIN_ID || !*p->path ||
	          strlen(p->path) >= PATH_MAX))
		return field_fail(im, "impossible parent");
	if (m->folded && (p || m->folded > m->n_files - 1))
		return field_fail(im, "impossible number of folded files");
	return 0;
}

/* ---- one parent ---- */

/* What messages call it: PATH as seen from where we are. */
static char *parent_name(const struct images *child)
{
	const char *path = child->manifest->parent->path;
	char *name;

	if (*path == '/')
		return strdup(path);
	return asprintf(&name, "%s/%s", child->dir, path) < 0 ? NULL : name;
}

static int parent_new(const struct images *child, struct images **ret)
{
	auto_free char *name = parent_name(child);
	int r = name ? images_new(name, ret) : -ENOMEM;

	if (r < 0)
		return r;
	(*ret)->dirfd = openat(child->dirfd, child->manifest->parent->path,
	                       O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if ((*ret)->dirfd >= 0)
		return 0;
	r = errno == ENOENT || errno == ENOTDIR ? -EBADMSG : -errno;
	fail(r,
	     "checkpoint %s: its parent %s, which has the pages that did not change, is missing; "
	     "put it there",
	     child->dir, name);
	images_free(*ret);
	return r;
}

/* Is P what CHILD says, and may the chain that begins at FIRST use it? */
static int parent_check(const struct images *first, const struct images *child,
                        const struct images *p)
{
	const Img__Manifest *m = p->manifest;

	if (!same_id(&m->id, &child->manifest->parent->id))
		return fail(-EBADMSG,
		            "checkpoint %s: what is in %s is not its parent but another "
		            "checkpoint; put the parent back there",
		            child->dir, p->dir);
	if (m->page_size != first->manifest->page_size)
		return fail(-EBADMSG, "checkpoint %s: its parent has pages of another size",
		            child->dir);
	for (const struct images *below = first; below != p; below = below->parent) {
		if (same_id(&m->id, &below->manifest->id))
			return fail(-EBADMSG, "checkpoint %s: is its own parent, by way of %s",
			            below->dir, child->dir);
		if (below == child)
			break;
	}
	return 0;
}

static int parent_load(const struct images *first, struct images *child, const struct access *a)
{
	struct access own = { .use = a->use == PAGES_LATER ? PAGES_USED : a->use, .keys = a->keys };
	struct images *p;
	int r = parent_new(child, &p);

	if (r < 0)
		return r;
	r = images_load(p, &own, false);
	if (r == -ENOENT) {
		log_forget();
		r = fail(-EBADMSG,
		         "checkpoint %s: its parent %s, which has the pages that did not change, "
		         "is missing; put it there",
		         child->dir, p->dir);
	}
	if (r == 0)
		r = parent_check(first, child, p);
	if (r < 0)
		images_free(p);
	else
		child->parent = p;
	return r;
}

/* ---- all of them ---- */

/* The page files of all, in one list. */
static int join_files(struct images *im)
{
	size_t n = im->npages;
	uint64_t *plain;
	bool *own;
	int *pages;

	for (const struct images *p = im->parent; p; p = p->parent)
		n += p->own_pages;
	pages = realloc(im->pages, (n + 1) * sizeof(*pages));
	if (!pages)
		return -ENOMEM;
	im->pages = pages;
	plain = realloc(im->plain, (n + 1) * sizeof(*plain));
	if (!plain)
		return -ENOMEM;
	im->plain = plain;
	own = realloc(im->own, (n + 1) * sizeof(*own));
	if (!own)
		return -ENOMEM;
	im->own = own;
	for (const struct images *p = im->parent; p; p = p->parent) {
		memcpy(im->pages + im->npages, p->pages, p->own_pages * sizeof(*p->pages));
		memcpy(im->plain + im->npages, p->plain, p->own_pages * sizeof(*p->plain));
		memcpy(im->own + im->npages, p->own, p->own_pages * sizeof(*p->own));
		im->npages += p->own_pages;
	}
	return 0;
}

/* Records of pages count the files of that list. */
static int join_records(struct images *im)
{
	size_t n;
	const struct record *rec = images_kind(im, KIND_pages, &n);
	size_t own = (im->parent ? im->own_pages : im->npages) - im->manifest->folded;

	for (size_t i = 0; i < n; i++) {
		Img__Pages *msg = (Img__Pages *)rec[i].msg;
		size_t limit = msg->parent ? im->npages - own : own;

		if (msg->file >= limit)
			return fail(-EBADMSG,
			            "checkpoint %s: " STATE_FILE ": record pages at offset %" PRIu64
			            ": page file %" PRIu32 " of %zu; " DAMAGED,
			            im->dir, rec[i].offset, msg->file, limit);
		if (msg->parent)
			msg->file += (uint32_t)own;
		msg->parent = false;
	}
	return 0;
}

static int join(struct images *im)
{
	int r = im->parent ? join_files(im) : 0;

	return r == 0 && (im->parent || im->manifest->folded) ? join_records(im) : r;
}

int chain_load(struct images *im, const struct access *a)
{
	struct images *last = im;
	int r = 0;

	if (im->manifest->parent && im->dirfd < 0)
		return fail(-EBADMSG,
		            "checkpoint %s: is an increment, and its parent is not in the stream; "
		            "unpack it beside its parent",
		            im->dir);
	for (unsigned depth = 1; r == 0 && last->manifest->parent; depth++) {
		if (depth > CHAIN_MAX)
			return fail(-EBADMSG,
			            "checkpoint %s: is an increment of more than %u others; no "
			            "dump makes such a chain",
			            im->dir, CHAIN_MAX);
		r = parent_load(im, last, a);
		last = last->parent;
	}
	return r < 0 ? r : join(im);
}

int chain_join(struct images *im, struct images *parent)
{
	int r;

	im->npages = im->own_pages = im->manifest->n_files - 1;
	im->parent = parent;
	r = join(im);
	if (r < 0)
		im->parent = NULL;
	return r;
}
