/* Memory alone is kept in parents: all else is whole in every increment. */
#include "images/needed.h"

#include <errno.h>

#include "images/pages.h"

static int needed_add(const struct images *im, const Img__Pages *msg, struct neededs *ret)
{
	struct page_iter it = pages_iter(im, msg);
	struct page_run run;
	int r = pages_check(im, msg);

	while (r == 0 && pages_next(&it, &run)) {
		struct needed *n = array_add(ret);

		if (!n)
			return -ENOMEM;
		*n = (struct needed){ msg->file, run.offset, run.offset + run.size };
	}
	return r;
}

static int by_place(const void *a, const void *b)
{
	const struct needed *x = a, *y = b;

	if (x->file != y->file)
		return x->file < y->file ? -1 : 1;
	return x->start < y->start ? -1 : x->start > y->start;
}

int needed_find(const struct images *im, size_t first, struct neededs *ret)
{
	size_t n;
	const struct record *rec = images_kind(im, KIND_pages, &n);
	int r = 0;

	for (size_t i = 0; r == 0 && i < n; i++) {
		const Img__Pages *msg = (const Img__Pages *)rec[i].msg;

		if (msg->file >= first)
			r = needed_add(im, msg, ret);
	}
	if (ret->n)
		qsort(ret->v, ret->n, sizeof(*ret->v), by_place);
	return r;
}
