/*
 * The task maps the page file in a window, a part of the arena, and has what is in it copied
 * (UFFDIO_COPY). A mapping of which a part is registered would be several, with an anon_vma each, and
 * stay so: all of it is. Until the userfaultfd is closed, and nothing of it left, a page that is touched otherwise is
 * an error (UFFD_USER_MODE_ONLY, which takes no privilege): pieces with too much that lies alone, each of which would
 * be a call, are read afterwards.
 *
 * Pages that come so are small ones: where the kernel would give huge ones, they are read.
 */
#include "restore/memory_place.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "images/hash.h"
#include "images/pieces.h"
#include "lib/cleanup.h"
#include "lib/fd.h"
#include "lib/log.h"
#include "restore/memory_sums.h"

#define WINDOW (UINT64_C(4) << 20)
#define STEP   (UINT64_C(512) << 10) /* so much stays in the cache of a CPU, to be summed */
#define LONG   (UINT64_C(256) << 10)
#define ENOUGH (UINT64_C(8) << 20) /* bytes of a task from which on it pays */
#define PAGE   UINT64_C(4096)
#define CALL   128 /* bytes of arena for a call and what it points to */
#define FLAGS  (O_CLOEXEC | UFFD_USER_MODE_ONLY)

#ifndef UFFD_USER_MODE_ONLY
#define UFFD_USER_MODE_ONLY 1 /* Linux 5.11 */
#endif

static size_t pieces_in(const struct restore *r, size_t file)
{
	return (images_pages_size(r->images, file) + HASH_PIECE - 1) / HASH_PIECE;
}

static uint64_t bytes_of(const struct restore *r, const struct rtask *t)
{
	uint64_t sum = 0;
	size_t n;
	const struct record *rec = images_find(r->images, KIND_pages, (uint32_t)t->pid, &n);

	for (size_t i = 0; i < n; i++)
		sum += pages_bytes(r->images, (const Img__Pages *)rec[i].msg);
	return sum;
}

/*
 * What a task puts in place it has in long runs, with as many short ones at most, and in steps and windows, which are
 * longer: a copy each, and its checksum. Borders of mappings make more of them.
 */
size_t placed_arena(const struct restore *r)
{
	size_t calls = 0, n;
	const struct record *rec = images_kind(r->images, KIND_memory, &n);

	array_each (t, &r->tasks) {
		uint64_t bytes = bytes_of(r, t);

		calls += bytes < ENOUGH ? 0 : bytes / LONG * 4 + 16;
	}
	for (size_t i = 0; calls && i < n; i++)
		calls += ((const Img__Memory *)rec[i].msg)->n_vmas;
	return calls ? FILLERS * WINDOW + PAGE + calls * 2 * CALL : 0;
}

/* ---- what this kernel does ---- */

static bool has_uffd(void)
{
	auto_close int fd = (int)syscall(SYS_userfaultfd, FLAGS);
	struct uffdio_api api = { .api = UFFD_API };

	return fd >= 0 && ioctl(fd, UFFDIO_API, &api) == 0;
}

/* Are huge pages for all who do not object, or for who asks? */
static void thp_policy(bool *ret_always, bool *ret_advised)
{
	auto_free char *text = NULL;
	bool has = file_read(AT_FDCWD, "/sys/kernel/mm/transparent_hugepage/enabled", &text) > 0;

	*ret_always = has && strstr(text, "[always]");
	*ret_advised = has && strstr(text, "[madvise]");
}

static bool can_be_mapped(int fd)
{
	void *p = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, 0);

	if (p == MAP_FAILED)
		return false;
	munmap(p, PAGE);
	return true;
}

/* What is given back while it is read, or comes later, has its own way. */
static bool file_suits(const struct restore *r, size_t file)
{
	const struct images *im = r->images;

	return !(im->own && im->own[file]) && !images_is_later(im, file) &&
	       can_be_mapped(im->pages[file]);
}

/* ---- which mappings ---- */

static bool is_small(const Img__Memory *m, const Img__Vma *v, bool always, bool advised)
{
	bool asks = v->traits & IMG__VMA__TRAIT__HUGEPAGE;

	if (m->thp_disable && !(m->thp_disable & 2 && asks))
		return true;
	return !(always && !(v->traits & IMG__VMA__TRAIT__NOHUGEPAGE)) && !(advised && asks);
}

static bool vma_suits(const Img__Vma *v, uint8_t mark)
{
	return v->type == IMG__VMA__TYPE__ANON && (v->map & MAP_TYPE) == MAP_PRIVATE &&
	       !(v->map & (MAP_HUGETLB | MAP_GROWSDOWN)) && v->size >= LONG && mark & MARK_FILLED &&
	       !(mark & MARK_KEPT);
}

static int choose(const Img__Memory *m, const uint8_t *marks, struct place *p)
{
	bool always, advised;

	thp_policy(&always, &advised);
	for (size_t i = 0; i < m->n_vmas; i++) {
		const Img__Vma *v = m->vmas[i];
		struct range *range;

		if (!vma_suits(v, marks[i]) || !is_small(m, v, always, advised))
			continue;
		range = array_add(&p->ranges);
		if (!range)
			return -ENOMEM;
		*range = (struct range){ v->start, v->start + v->size };
	}
	return 0;
}

/* In the arena, once for all tasks: each has its own mapping there. */
static bool have_windows(struct restore *r)
{
	uint64_t at = r->windows ? 0 : arena_alloc(&r->arena, FILLERS * WINDOW + PAGE);

	if (at)
		r->windows = (at + PAGE - 1) & ~(PAGE - 1);
	return r->windows;
}

/* ---- which pieces ---- */

/* The first that ends behind AT. */
static const struct range *range_at(const struct place *p, uint64_t at)
{
	size_t low = 0, high = p->ranges.n;

	while (low < high) {
		size_t mid = (low + high) / 2;

		if (p->ranges.v[mid].end <= at)
			low = mid + 1;
		else
			high = mid;
	}
	return low < p->ranges.n ? &p->ranges.v[low] : NULL;
}

bool place_takes(const struct place *p, uint64_t start)
{
	const struct range *range = range_at(p, start);

	return range && range->start <= start;
}

/* Of a run: what lies in one piece ... */
static uint64_t in_piece(const struct page_run *run)
{
	uint64_t left = HASH_PIECE - run->offset % HASH_PIECE;

	return left < run->size ? left : run->size;
}

/* ... and within one of the mappings, or between two. */
static uint64_t in_mapping(const struct place *p, const struct page_run *run)
{
	const struct range *range = range_at(p, run->start);
	uint64_t border = !range                       ? UINT64_MAX
	                  : range->start <= run->start ? range->end
	                                               : range->start;
	uint64_t left = border - run->start, n = in_piece(run);

	return left < n ? left : n;
}

static bool is_placed(const struct place_piece *piece)
{
	return piece->bytes >= LONG && piece->alone <= piece->bytes / LONG;
}

uint64_t place_alike(const struct place *p, uint32_t file, const struct page_run *run,
                     bool *ret_placed)
{
	*ret_placed = p && p->pieces && p->pieces[file] &&
	              is_placed(&p->pieces[file][run->offset / HASH_PIECE]);
	if (!p || !p->any)
		return run->size;
	return *ret_placed ? in_mapping(p, run) : in_piece(run);
}

static int have_pieces(const struct restore *r, struct place *p)
{
	p->nfiles = r->images->npages;
	p->pieces = calloc(p->nfiles + 1, sizeof(*p->pieces));
	if (!p->pieces)
		return -ENOMEM;
	for (size_t i = 0; i < p->nfiles; i++) {
		if (!file_suits(r, i))
			continue;
		p->pieces[i] = calloc(pieces_in(r, i) + 1, sizeof(**p->pieces));
		if (!p->pieces[i])
			return -ENOMEM;
	}
	return 0;
}

static void count_run(const struct place *p, struct place_piece *pieces, struct page_run run)
{
	while (run.size) {
		struct place_piece *piece = &pieces[run.offset / HASH_PIECE];
		uint64_t n = in_mapping(p, &run);

		if (place_takes(p, run.start))
			*(n < LONG ? &piece->alone : &piece->bytes) += n < LONG ? 1 : n;
		page_run_advance(&run, n);
	}
}

static void count(const struct restore *r, const struct rtask *t, struct place *p)
{
	size_t n;
	const struct record *rec = images_find(r->images, KIND_pages, (uint32_t)t->pid, &n);

	for (size_t i = 0; i < n; i++) {
		const Img__Pages *msg = (const Img__Pages *)rec[i].msg;
		struct page_iter it = pages_iter(r->images, msg);
		struct page_run run;

		while (p->pieces[msg->file] && pages_next(&it, &run))
			count_run(p, p->pieces[msg->file], run);
	}
	for (size_t i = 0; i < p->nfiles; i++)
		for (size_t k = 0; p->pieces[i] && k < pieces_in(r, i); k++)
			p->any |= is_placed(&p->pieces[i][k]);
}

int place_plan(struct restore *r, const struct rtask *t, const Img__Memory *m, const uint8_t *marks,
               struct place *ret)
{
	int e;

	if (r->sharing || r->opt->lazy || bytes_of(r, t) < ENOUGH || !has_uffd() ||
	    !have_windows(r))
		return 0;
	ret->uffd = pool_spare(r);
	e = ret->uffd < 0 ? ret->uffd : choose(m, marks, ret);
	if (e == 0)
		e = have_pieces(r, ret);
	if (e == 0)
		count(r, t, ret);
	return e;
}

void place_done(struct place *p)
{
	array_done(&p->ranges);
	for (size_t i = 0; p->pieces && i < p->nfiles; i++)
		free(p->pieces[i]);
	free(p->pieces);
	*p = (struct place){};
}

/* ---- calls ---- */

/* The answer of the call before becomes the first argument of the next. */
static void emit_answer(unsigned calls_before, struct script *s)
{
	script_op(s, OP_RESULT, EXPECT_ANY, 0, 0, (const uint64_t[6]){ calls_before, 0, 0 });
}

void place_begin(const struct place *p, struct script *s)
{
	struct uffdio_api api = { .api = UFFD_API };

	script_call(s, SYS_userfaultfd, FLAGS);
	emit_answer(1, s);
	script_call(s, SYS_dup3, 0, p->uffd, O_CLOEXEC);
	emit_answer(3, s);
	script_call(s, SYS_close, 0);
	script_call(s, SYS_ioctl, p->uffd, UFFDIO_API, script_put(s, &api, sizeof(api)));
	array_each (v, &p->ranges) {
		struct uffdio_register reg = { .range = { v->start, v->end - v->start },
			                       .mode = UFFDIO_REGISTER_MODE_MISSING };

		script_call(s, SYS_ioctl, p->uffd, UFFDIO_REGISTER,
		            script_put(s, &reg, sizeof(reg)));
	}
}

/* From OFFSET of FILE on, to the end of the piece at most. */
static void move_window(const struct restore *r, unsigned thread, struct window *w, uint32_t file,
                        uint64_t offset, struct script *s)
{
	uint64_t size = images_pages_size(r->images, file);
	uint64_t end = offset - offset % HASH_PIECE + HASH_PIECE;

	end = end < size ? end : size;
	end = end - offset < WINDOW ? end : offset + WINDOW;
	*w = (struct window){ file, offset, end };
	script_call(s, SYS_mmap, r->windows + thread * WINDOW, end - offset, PROT_READ,
	            MAP_PRIVATE | MAP_FIXED | MAP_POPULATE, r->images->pages[file], offset);
}

void place_run(const struct restore *r, const struct place *p, unsigned thread,
               struct window *window, uint32_t file, const struct page_run *run, uint64_t sum,
               struct script *s)
{
	for (uint64_t at = 0, n; at < run->size; at += n) {
		uint64_t offset = run->offset + at;
		struct uffdio_copy copy = { .dst = run->start + at,
			                    .mode = UFFDIO_COPY_MODE_DONTWAKE };

		if (window->file != file || offset < window->start || offset >= window->end)
			move_window(r, thread, window, file, offset, s);
		n = run->size - at < STEP ? run->size - at : STEP;
		n = n < window->end - offset ? n : window->end - offset;
		copy.src = r->windows + thread * WINDOW + (offset - window->start);
		copy.len = n;
		script_call(s, SYS_ioctl, p->uffd, UFFDIO_COPY, script_put(s, &copy, sizeof(copy)));
		if (sum)
			reader_add(sum, copy.src, n, s);
	}
}

void place_end(const struct place *p, struct script *s)
{
	script_call(s, SYS_close, p->uffd);
}
