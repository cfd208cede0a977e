/*
 * The page is that of a memfd: the file leads to its struct page, pagemap tells its number, and what we have
 * written into it is found again so many pages behind where the kernel's map of all memory begins. That is
 * at a whole gigabyte (arch/x86/mm/kaslr.c), some of them below any object of the kernel.
 */
#include "lib/kmem_pages.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/fd.h"

#define PAGE       4096u
#define GIGABYTE   (UINT64_C(1) << 30)
#define STEPS_MAX  65536
#define PRESENT    (UINT64_C(1) << 63)
#define NUMBER     ((UINT64_C(1) << 55) - 1)
#define MARK_WORDS 4

/* A page of ours, mapped at MAP. */
struct sample {
	int fd;
	uint64_t *map;
	uint64_t mark[MARK_WORDS], number;
};

static int number_of(const void *map, uint64_t *ret)
{
	auto_close int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	uint64_t entry;
	int r = fd < 0 ? -errno
	               : pread_full(fd, &entry, sizeof(entry), (off_t)((uint64_t)map / PAGE * 8));

	if (r < 0)
		return r;
	*ret = entry & NUMBER;
	return entry & PRESENT && *ret ? 0 : -EOPNOTSUPP;
}

static int sample_make(struct sample *s)
{
	s->fd = memfd_create("crtool", MFD_CLOEXEC);
	if (s->fd < 0 || ftruncate(s->fd, PAGE) < 0)
		return -errno;
	s->map = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_LOCKED, s->fd, 0);
	if (s->map == MAP_FAILED)
		s->map = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, s->fd, 0);
	if (s->map == MAP_FAILED || getrandom(s->mark, sizeof(s->mark), 0) < 0)
		return -errno;
	memcpy(s->map, s->mark, sizeof(s->mark));
	return number_of(s->map, &s->number);
}

static void sample_done(struct sample *s)
{
	if (s->map != MAP_FAILED)
		munmap(s->map, PAGE);
	closep(&s->fd);
}

static bool is_sample(const struct kmem *k, const struct sample *s, uint64_t at)
{
	uint64_t there[MARK_WORDS];

	return kmem_copy(k, at, there, sizeof(there)) == 0 &&
	       !memcmp(there, s->mark, sizeof(there));
}

static int find(const struct kmem *k, const struct sample *s, struct kmem_pages *ret)
{
	struct kmem_reader r = { .k = k };
	const struct btf_type *type = btf_struct(k->btf, "page");
	uint64_t file = 0, base;

	kmem_failed(&r, type ? kmem_file(k, s->fd, &file) : -EOPNOTSUPP);
	/* The only page of it needs no tree. */
	ret->page = kmem_get(&r, "address_space", "i_pages.xa_head",
	                     kmem_get(&r, "file", "f_mapping", file));
	if (r.error)
		return r.error;
	ret->size = type->size;
	base = file & ~(GIGABYTE - 1);
	for (int i = 0; i < STEPS_MAX; i++, base -= GIGABYTE) {
		ret->address = base + s->number * PAGE;
		if (is_sample(k, s, ret->address))
			return ret->page & 3 ? -EOPNOTSUPP : 0;
	}
	return -EOPNOTSUPP;
}

int kmem_pages_find(const struct kmem *k, struct kmem_pages *ret)
{
	struct sample s = { .fd = -1, .map = MAP_FAILED };
	int r = sample_make(&s);
	uint64_t now;

	*ret = (struct kmem_pages){};
	if (r == 0)
		r = find(k, &s, ret);
	if (r == 0)
		r = number_of(s.map, &now);
	if (r == 0 && now != s.number) /* it was moved meanwhile */
		r = -EOPNOTSUPP;
	sample_done(&s);
	return r;
}

uint64_t kmem_page_address(const struct kmem_pages *p, uint64_t page)
{
	int64_t pages = (int64_t)(page - p->page) / (int64_t)p->size;

	return p->address + (uint64_t)(pages * PAGE);
}
