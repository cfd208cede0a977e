/*
 * compare DIR PID: is the private memory of PID, which is stopped, byte by byte what the
 * checkpoint DIR has of it? What it does not have must be zero, or what is in the file.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "images/pages.h"
#include "lib/array.h"
#include "lib/cleanup.h"
#include "lib/fd.h"
#include "lib/log.h"
#include "proto/memory.pb-c.h"

#define PAGE UINT64_C(4096)

struct place {
	uint64_t start, size, offset;
	uint32_t file;
};

struct comparison {
	struct images *im;
	uint32_t pid;
	int mem;
	ARRAY(struct place) places;
	uint64_t pages, own, parents;
};

static int by_start(const void *a, const void *b)
{
	const struct place *x = a, *y = b;

	return x->start < y->start ? -1 : x->start > y->start;
}

static void find_places(struct comparison *c)
{
	size_t n;
	const struct record *rec = images_find(c->im, KIND_pages, c->pid, &n);

	for (size_t i = 0; i < n; i++) {
		const Img__Pages *msg = (const Img__Pages *)rec[i].msg;
		struct page_iter it = pages_iter(c->im, msg);
		struct page_run run;

		while (pages_next(&it, &run))
			*array_add(&c->places) =
				(struct place){ run.start, run.size, run.offset, msg->file };
	}
	if (c->places.n)
		qsort(c->places.v, c->places.n, sizeof(*c->places.v), by_start);
	for (size_t i = 1; i < c->places.n; i++)
		if (c->places.v[i].start < c->places.v[i - 1].start + c->places.v[i - 1].size) {
			printf("stored twice: %" PRIx64 "\n", c->places.v[i].start);
			exit(1);
		}
}

static const struct place *place_of(const struct comparison *c, uint64_t at)
{
	size_t low = 0, high = c->places.n;

	while (low < high) {
		size_t mid = (low + high) / 2;

		if (c->places.v[mid].start + c->places.v[mid].size <= at)
			low = mid + 1;
		else
			high = mid;
	}
	return low < c->places.n && c->places.v[low].start <= at ? &c->places.v[low] : NULL;
}

/* What the mapping alone would show: zeros behind the end of the file. */
static void read_file(const struct comparison *c, const Img__Vma *v, int file, uint64_t at,
                      char *page)
{
	memset(page, 0, PAGE);
	if (file >= 0 && pread(file, page, PAGE, (off_t)(v->offset + at - v->start)) < 0)
		printf("%" PRIx64 ": read its file: %s\n", at, strerror(errno));
}

static bool compare_page(struct comparison *c, const Img__Vma *v, int file, uint64_t at)
{
	const struct place *p = place_of(c, at);
	char want[PAGE], have[PAGE];

	c->pages++;
	c->own += p && p->file < c->im->own_pages;
	c->parents += p && p->file >= c->im->own_pages;
	if (pread_full(c->mem, have, PAGE, (off_t)at) < 0)
		return !p; /* a guard region, or behind the end of a file */
	if (!p)
		read_file(c, v, file, at, want);
	else if (pread_full(c->im->pages[p->file], want, PAGE, (off_t)(p->offset + at - p->start)) <
	         0)
		return false;
	if (!memcmp(want, have, PAGE))
		return true;
	for (size_t i = 0; i < PAGE; i += 8) {
		uint64_t a, b;

		memcpy(&a, want + i, 8), memcpy(&b, have + i, 8);
		if (a != b) {
			printf("%" PRIx64 ": %016" PRIx64 " instead of %016" PRIx64 "\n", at + i, a,
			       b);
			break;
		}
	}
	return false;
}

static unsigned compare_vma(struct comparison *c, const Img__Vma *v)
{
	auto_close int file = -1;
	unsigned bad = 0;
	char path[80];

	if (v->type > IMG__VMA__TYPE__SHMEM || (v->map & MAP_TYPE) != MAP_PRIVATE)
		return 0;
	snprintf(path, sizeof(path), "/proc/%u/map_files/%" PRIx64 "-%" PRIx64, c->pid, v->start,
	         v->start + v->size);
	if (v->type != IMG__VMA__TYPE__ANON)
		file = open(path, O_RDONLY | O_CLOEXEC);
	for (uint64_t at = v->start; at < v->start + v->size; at += PAGE) {
		if (compare_page(c, v, file, at))
			continue;
		printf("%" PRIx64 " differs, in %" PRIx64 "-%" PRIx64 " type %d, %s\n", at,
		       v->start, v->start + v->size, v->type,
		       place_of(c, at)
		               ? place_of(c, at)->file >= c->im->own_pages ? "of a parent" : "own"
		               : "not stored");
		bad++;
	}
	return bad;
}

int main(int argc, char **argv)
{
	struct comparison c = { .pid = argc == 3 ? (uint32_t)atoi(argv[2]) : 0 };
	const Img__Memory *m;
	unsigned bad = 0;
	char path[32];

	if (argc != 3) {
		fprintf(stderr, "usage: compare DIR PID\n");
		return 2;
	}
	log_setup(LOG_ERROR, NULL);
	if (images_read(argv[1], PAGES_USED, NULL, &c.im) < 0)
		return 1;
	snprintf(path, sizeof(path), "/proc/%u/mem", c.pid);
	c.mem = open(path, O_RDONLY | O_CLOEXEC);
	m = (const Img__Memory *)images_one(c.im, KIND_memory, c.pid);
	if (c.mem < 0 || !m) {
		printf("nothing to compare\n");
		return 1;
	}
	find_places(&c);
	for (size_t i = 0; i < m->n_vmas; i++)
		bad += compare_vma(&c, m->vmas[i]);
	printf("%u of %" PRIu64 " pages differ, %" PRIu64 " are stored, %" PRIu64 " by parents\n",
	       bad, c.pages, c.own, c.parents);
	images_free(c.im);
	return bad > 0;
}
