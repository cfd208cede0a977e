#include "dump/later.h"

#include <errno.h>

#include "lib/fd.h"

int later_note(struct later *l, const struct later_run *run)
{
	struct later_run *r;

	pthread_mutex_lock(&l->lock);
	r = array_add(&l->runs);
	if (r)
		*r = *run;
	pthread_mutex_unlock(&l->lock);
	return r ? 0 : -ENOMEM;
}

static int by_place(const void *a, const void *b)
{
	const struct later_run *x = a, *y = b;

	if (x->file != y->file)
		return x->file < y->file ? -1 : 1;
	return x->offset < y->offset ? -1 : x->offset > y->offset;
}

void later_sort(struct later *l)
{
	if (l->runs.n)
		qsort(l->runs.v, l->runs.n, sizeof(*l->runs.v), by_place);
}

/* The run that has it, or behind the last. */
static size_t find(const struct later *l, uint32_t file, uint64_t offset)
{
	size_t low = 0, high = l->runs.n;

	while (low < high) {
		size_t mid = (low + high) / 2;
		const struct later_run *r = &l->runs.v[mid];

		if (r->file < file || (r->file == file && r->offset + r->size <= offset))
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

ssize_t later_read(const struct later *l, uint32_t file, uint64_t offset, void *buf, size_t max)
{
	size_t i = find(l, file, offset), done = 0;

	for (; done < max && i < l->runs.n; i++) {
		const struct later_run *r = &l->runs.v[i];
		uint64_t skip = offset + done - r->offset;
		size_t n;
		int e;

		if (r->file != file || r->offset > offset + done)
			break;
		n = r->size - skip < max - done ? (size_t)(r->size - skip) : max - done;
		e = pread_full(r->mem, (char *)buf + done, n, (off_t)(r->start + skip));
		if (e < 0)
			return e;
		done += n;
	}
	return done ? (ssize_t)done : -ERANGE;
}

void later_done(struct later *l)
{
	array_done(&l->runs);
	pthread_mutex_destroy(&l->lock);
}
