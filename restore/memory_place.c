/*
 * The task maps the page file in a window, a part of the arena, and has what is in it copied
 * (UFFDIO_COPY). A mapping of which a part is registered would be several, with an anon_vma each, and
 * stay so: all of it is, and what lies alone is read afterwards, when the userfaultfd is closed and
 * nothing of it left. Until then a page that is touched otherwise is an error
 * (UFFD_USER_MODE_ONLY, which takes no privilege).
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

#include "lib/cleanup.h"
#include "lib/fd.h"
#include "lib/log.h"
#include "restore/memory_sums.h"

#define WINDOW (UINT64_C(4) << 20)
#define STEP   (UINT64_C(512) << 10) /* so much stays in the cache of a CPU, to be summed */
#define LONG   (UINT64_C(256) << 10)
#define ENOUGH (UINT64_C(8) << 20) /* bytes from which on it pays */
#define PAGE   UINT64_C(4096)
#define CALL   128 /* bytes of arena for a call and what it points to */
#define FLAGS  (O_CLOEXEC | UFFD_USER_MODE_ONLY)

#ifndef UFFD_USER_MODE_ONLY
#define UFFD_USER_MODE_ONLY 1 /* Linux 5.11 */
#endif

static uint64_t all_bytes(const struct restore *r)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < r->images->npages; i++)
		sum += images_pages_size(r->images, i);
	return sum;
}

size_t placed_arena(const struct restore *r)
{
	uint64_t bytes = all_bytes(r);
	size_t vmas = 0, n;
	const struct record *rec = images_kind(r->images, KIND_memory, &n);

	if (bytes < ENOUGH)
		return 0;
	for (size_t i = 0; i < n; i++)
		vmas += ((const Img__Memory *)rec[i].msg)->n_vmas;
	return FILLERS * WINDOW + PAGE + (bytes / LONG * 4 + vmas + r->tasks.n * 16) * CALL;
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

static uint64_t bytes_of(const struct restore *r, const struct rtask *t)
{
	uint64_t sum = 0;
	size_t n;
	const struct record *rec = images_find(r->images, KIND_pages, (uint32_t)t->pid, &n);

	for (size_t i = 0; i < n; i++)
		sum += pages_bytes(r->images, (const Img__Pages *)rec[i].msg);
	return sum;
}

int place_plan(struct restore *r, const struct rtask *t, const Img__Memory *m, const uint8_t *marks,
               struct place *ret)
{
	if (r->sharing || r->opt->lazy || bytes_of(r, t) < ENOUGH || !has_uffd() ||
	    !have_windows(r))
		return 0;
	ret->uffd = pool_spare(r);
	ret->files = calloc(r->images->npages + 1, sizeof(*ret->files));
	if (ret->uffd < 0 || !ret->files)
		return ret->uffd < 0 ? ret->uffd : -ENOMEM;
	for (size_t i = 0; i < r->images->npages; i++)
		ret->files[i] = file_suits(r, i);
	return choose(m, marks, ret);
}

void place_done(struct place *p)
{
	array_done(&p->ranges);
	free(p->files);
	*p = (struct place){};
}

/* The first that ends behind AT. */
static size_t range_at(const struct place *p, uint64_t at)
{
	size_t low = 0, high = p->ranges.n;

	while (low < high) {
		size_t mid = (low + high) / 2;

		if (p->ranges.v[mid].end <= at)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

uint64_t place_alike(const struct place *p, uint32_t file, uint64_t start, uint64_t size,
                     bool *ret_placed)
{
	size_t i = p ? range_at(p, start) : 0;
	const struct range *range = p && i < p->ranges.n ? &p->ranges.v[i] : NULL;
	bool in = range && range->start <= start;
	uint64_t border = !range ? UINT64_MAX : in ? range->end : range->start;
	uint64_t n = border - start < size ? border - start : size;

	*ret_placed = in && n >= LONG && p->files[file];
	return n;
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

void place_run(const struct restore *r, const struct place *p, unsigned thread, uint32_t file,
               const struct page_run *run, uint64_t sum, struct script *s)
{
	uint64_t window = r->windows + thread * WINDOW;

	for (uint64_t at = 0; at < run->size; at += WINDOW) {
		uint64_t n = run->size - at < WINDOW ? run->size - at : WINDOW;

		script_call(s, SYS_mmap, window, n, PROT_READ,
		            MAP_PRIVATE | MAP_FIXED | MAP_POPULATE, r->images->pages[file],
		            run->offset + at);
		for (uint64_t in = 0; in < n; in += STEP) {
			struct uffdio_copy copy = { .dst = run->start + at + in,
				                    .src = window + in,
				                    .len = n - in < STEP ? n - in : STEP,
				                    .mode = UFFDIO_COPY_MODE_DONTWAKE };

			script_call(s, SYS_ioctl, p->uffd, UFFDIO_COPY,
			            script_put(s, &copy, sizeof(copy)));
			if (sum)
				reader_add(sum, window + in, copy.len, s);
		}
	}
}

void place_end(const struct place *p, struct script *s)
{
	script_call(s, SYS_close, p->uffd);
}
