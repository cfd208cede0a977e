/* What is in no range is zero. A piece that is there leaves its range. */
#include "restore/lazy_mm.h"

#include <errno.h>
#include <linux/userfaultfd.h>
#include <string.h>
#include <sys/ioctl.h>

#include "lib/cleanup.h"

#define PAGE UINT64_C(4096)

int lazy_cut(struct lazy_mm *mm, uint64_t start, uint64_t end, struct sources *sink)
{
	struct sources rest = {};

	for (size_t i = 0; i < mm->ranges.n; i++) {
		const struct source s = mm->ranges.v[i];
		uint64_t s_end = s.start + s.size;
		uint64_t cuts[4] = { s.start, start, end, s_end };

		for (int part = 0; part < 3; part++) {
			uint64_t from = cuts[part] > s.start ? cuts[part] : s.start;
			uint64_t to = cuts[part + 1] < s_end ? cuts[part + 1] : s_end;
			struct sources *list = part == 1 ? sink : &rest;
			struct source *add;

			if (from >= to || !list)
				continue;
			add = array_add(list);
			if (!add)
				return -ENOMEM;
			*add = (struct source){ from, to - from, s.offset + (from - s.start),
				                s.file };
		}
	}
	array_done(&mm->ranges);
	mm->ranges = rest;
	mm->next = 0;
	return 0;
}

void lazy_end(struct lazy_mm *mm)
{
	closep(&mm->uffd);
	mm->uffd = -1;
	array_done(&mm->ranges);
}

/* N bytes of S, from its start on, are in place. The usual way is from the start of a range. */
static int range_shrink(struct lazy_mm *mm, const struct source *s, uint64_t start, uint64_t n)
{
	struct source *own = &mm->ranges.v[s - mm->ranges.v];

	/* One that is empty stays, so that the others need not move. */
	if (start != own->start || n > own->size)
		return lazy_cut(mm, start, start + n, NULL);
	own->start += n, own->offset += n, own->size -= n;
	return 0;
}

static int copy(const struct lazy_mm *mm, uint64_t at, const void *from, uint64_t size,
                uint64_t *ret_done)
{
	struct uffdio_copy copy = { .dst = at, .src = (uint64_t)(uintptr_t)from, .len = size };
	int e = ioctl(mm->uffd, UFFDIO_COPY, &copy) < 0 ? errno : 0;

	*ret_done = copy.copy > 0 ? (uint64_t)copy.copy : 0;
	return e;
}

/*
 * ENOENT says one of three: some of it lies in another mapping (mprotect(2), of which no event tells, has made two
 * of one), so less is tried; it was moved or unmapped just now, which the kernel looks for before it looks for the
 * event (mm/userfaultfd.c, mfill_atomic()), so once more says EAGAIN; or it is unmapped for good.
 */
static int copy_there(const struct lazy_mm *mm, uint64_t at, const void *from, uint64_t size,
                      uint64_t *ret_done)
{
	int e = copy(mm, at, from, size, ret_done);

	while (e == ENOENT && !*ret_done && size > PAGE) {
		size = size / 2 & ~(PAGE - 1);
		e = copy(mm, at, from, size, ret_done);
	}
	return e == ENOENT && !*ret_done ? copy(mm, at, from, size, ret_done) : e;
}

int lazy_place(struct lazy_mm *mm, const struct source *s, uint64_t at, const void *from,
               uint64_t size, uint64_t *ret_done)
{
	int e = copy_there(mm, at, from, size, ret_done);

	if (*ret_done)
		return range_shrink(mm, s, at, *ret_done);
	switch (e) {
	case EAGAIN: /* an event has to be read first */
		return 0;
	case EEXIST: /* nobody else fills it: this page alone is there */
		return range_shrink(mm, s, at, PAGE);
	case ENOENT: /* the event came */
		return range_shrink(mm, s, at, PAGE);
	case ESRCH: /* it has ended */
		lazy_end(mm);
		return 0;
	}
	return -e;
}

const struct source *lazy_find(const struct lazy_mm *mm, uint64_t at)
{
	size_t low = 0, high = mm->ranges.n;

	while (low < high) {
		size_t mid = (low + high) / 2;

		if (mm->ranges.v[mid].start + mm->ranges.v[mid].size <= at)
			low = mid + 1;
		else
			high = mid;
	}
	return low < mm->ranges.n && mm->ranges.v[low].start <= at ? &mm->ranges.v[low] : NULL;
}

int lazy_zero(struct lazy_mm *mm, uint64_t at)
{
	struct uffdio_zeropage z = { .range = { at, PAGE } };
	struct uffdio_range wake = { at, PAGE };

	if (ioctl(mm->uffd, UFFDIO_ZEROPAGE, &z) == 0)
		return 0;
	if (errno == ESRCH) {
		lazy_end(mm);
		return 0;
	}
	/* It is there by now, or comes up again when the event has been read; or who waits finds it unmapped. */
	if (errno != EEXIST && errno != EAGAIN && errno != ENOENT)
		return -errno;
	return ioctl(mm->uffd, UFFDIO_WAKE, &wake) < 0 ? -errno : 0;
}

static int by_start(const void *a, const void *b)
{
	const struct source *x = a, *y = b;

	return x->start < y->start ? -1 : x->start > y->start;
}

int lazy_moved(struct lazy_mm *mm, uint64_t from, uint64_t to, uint64_t size)
{
	struct sources moved = {};
	int r = lazy_cut(mm, from, from + size, &moved);

	for (size_t i = 0; r == 0 && i < moved.n; i++) {
		struct source *s = array_add(&mm->ranges);

		if (!s)
			r = -ENOMEM;
		else
			*s = (struct source){ moved.v[i].start - from + to, moved.v[i].size,
				              moved.v[i].offset, moved.v[i].file };
	}
	array_done(&moved);
	mm->next = 0;
	if (mm->ranges.n)
		qsort(mm->ranges.v, mm->ranges.n, sizeof(*mm->ranges.v), by_start);
	return r;
}

/* Nothing is protected here against writes, which tells nothing but whether the memory still exists. */
bool lazy_ended(const struct lazy_mm *mm)
{
	struct uffdio_writeprotect wp = { .range = { mm->ranges.v[mm->next].start, PAGE } };

	return ioctl(mm->uffd, UFFDIO_WRITEPROTECT, &wp) < 0 && errno == ESRCH;
}
