#include "restore/far.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/fd.h"
#include "lib/log.h"

#define MOST   (UINT64_C(256) << 10) /* asked for at once */
#define WINDOW 128                   /* questions on their way: they fit into any pipe */

struct need {
	uint32_t file;
	uint64_t offset, size;
};

struct needs {
	ARRAY(struct need) list;
};

bool far_is_sane(const struct images *im, const struct far_piece *p)
{
	return images_is_later(im, p->file) && p->size && p->offset % 4096 == 0 &&
	       p->size % 4096 == 0 && p->offset + p->size >= p->offset &&
	       p->offset + p->size <= images_pages_size(im, p->file);
}

int far_need(struct restore *r, uint32_t file, uint64_t offset, uint64_t size)
{
	struct need *n;

	if (!r->needs)
		r->needs = calloc(1, sizeof(*r->needs));
	if (!r->needs)
		return -ENOMEM;
	while (size) {
		n = array_add(&r->needs->list);
		if (!n)
			return -ENOMEM;
		*n = (struct need){ file, offset, size < MOST ? size : MOST };
		offset += n->size, size -= n->size;
	}
	return 0;
}

void far_done(struct restore *r)
{
	if (r->needs)
		array_done(&r->needs->list);
	free(r->needs);
	r->needs = NULL;
}

static int keep(const struct restore *r, const struct far_piece *p)
{
	char path[32];
	auto_close int fd = -1;
	int e;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", r->images->pages[p->file]);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	e = fd < 0 ? -errno : pwrite_full(fd, p->data, p->size, (off_t)p->offset);
	return e < 0 ? fail(e, "checkpoint %s: keep pages", r->images->dir) : 0;
}

/* The answer to N, in pieces, in order. */
static int take(const struct restore *r, const struct need *n)
{
	for (uint64_t done = 0; done < n->size;) {
		struct far_piece p = {};
		int e = r->opt->far->take(r->opt->far->arg, &p);

		if (e == 0 || (e > 0 && (!far_is_sane(r->images, &p) || p.file != n->file ||
		                         p.offset != n->offset + done || p.size > n->size - done)))
			return fail(-EPROTO, "pages came that nobody has asked for");
		if (e > 0)
			e = keep(r, &p);
		if (e < 0)
			return e;
		done += p.size;
	}
	return 0;
}

int far_fetch(struct restore *r)
{
	const struct far *far = r->opt->far;
	size_t asked = 0;
	int e = 0;

	for (size_t i = 0; r->needs && e == 0 && i < r->needs->list.n; i++) {
		for (; e == 0 && asked < r->needs->list.n && asked < i + WINDOW; asked++) {
			const struct need *n = &r->needs->list.v[asked];

			e = far->want(far->arg, n->file, n->offset, n->size);
		}
		if (e == 0)
			e = take(r, &r->needs->list.v[i]);
	}
	far_done(r);
	return e;
}
