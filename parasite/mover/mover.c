/*
 * Pages go out in pieces that stay in the cache of the CPU: written, hashed, looked through for zeros. The kernel's
 * copy out of the process is the only one. They come in likewise: the kernel clears a few, copies into them, they are
 * hashed.
 */
#define XXH_INLINE_ALL
#include <xxhash.h>

#include <asm-generic/mman-common.h>
#include <asm/unistd.h>
#include <linux/errno.h>

#include "parasite/mover.h"

#define CHUNK (256u << 10)
#define PIECE (UINT64_C(16) << 20) /* HASH_PIECE of images/hash.h */
#define IOVS  64u
#define LONG  (32u << 10) /* what is shorter is not worth a call to populate it */
#define HUGE  (2u << 20)  /* a huge page */

#define CAREFUL 8 /* chunks after one with zeros */

_Static_assert(sizeof(XXH3_state_t) <= MOVER_STATE, "room for the state");

long blob_syscall(long nr, const uint64_t args[6]);
void mover_write(struct mover_desk *desk);
uint64_t mover_sum(struct mover_sum *sum, const struct iovec *iov, uint64_t n);
int64_t mover_read(struct mover_sum *sum, uint64_t fd, const struct iovec *iov, uint64_t n,
                   uint64_t offset);

#define CALL(nr, ...) blob_syscall(nr, (const uint64_t[6]){ __VA_ARGS__ })

/* ---- the checksum ---- */

/* One copy of each is enough. */
static __attribute__((noinline)) void hash_reset(uint8_t *state)
{
	XXH3_64bits_reset((XXH3_state_t *)state);
}

static __attribute__((noinline)) void hash_add(uint8_t *state, const void *data, uint64_t size)
{
	XXH3_64bits_update((XXH3_state_t *)state, data, size);
}

static __attribute__((noinline)) uint64_t hash_of(const uint8_t *state)
{
	return XXH3_64bits_digest((const XXH3_state_t *)state);
}

static void sum_begin(struct mover_sum *s)
{
	if (s->begun)
		return;
	hash_reset(s->piece);
	hash_reset(s->pieces);
	s->begun = 1;
}

static void piece_end(struct mover_sum *s)
{
	uint64_t hash = hash_of(s->piece);

	if (s->hashes)
		((uint64_t *)s->hashes)[s->n] = hash;
	else
		hash_add(s->pieces, &hash, sizeof(hash));
	hash_reset(s->piece);
	s->filled = 0;
	s->n++;
}

static void sum_add(struct mover_sum *s, const char *p, uint64_t size)
{
	while (size) {
		uint64_t room = PIECE - s->filled, n = size < room ? size : room;

		hash_add(s->piece, p, n);
		s->filled += n;
		p += n, size -= n;
		if (s->filled == PIECE)
			piece_end(s);
	}
}

static void sum_end(struct mover_sum *s)
{
	if (s->filled)
		piece_end(s);
}

/* Of what lies at N iovecs; none: the last piece ends here. */
uint64_t mover_sum(struct mover_sum *sum, const struct iovec *iov, uint64_t n)
{
	sum_begin(sum);
	for (uint64_t i = 0; i < n; i++)
		sum_add(sum, iov[i].iov_base, iov[i].iov_len);
	if (!n)
		sum_end(sum);
	return 0;
}

/* ---- a file ---- */

/* preadv(2) or pwritev(2) of all of N iovecs, which are used up; *OFFSET goes on. */
static int64_t move_all(long nr, uint64_t fd, struct iovec *iov, uint64_t n, uint64_t *offset)
{
	while (n) {
		long done = CALL(nr, fd, (uint64_t)iov, n, *offset, 0);

		if (done == -EINTR)
			continue;
		if (done <= 0)
			return done ? done : nr == __NR_preadv ? -ENODATA : -EIO;
		*offset += (uint64_t)done;
		while (n && (uint64_t)done >= iov->iov_len) {
			done -= (long)iov->iov_len;
			iov++, n--;
		}
		if (n) {
			iov->iov_base = (char *)iov->iov_base + done;
			iov->iov_len -= (uint64_t)done;
		}
	}
	return 0;
}

/* ---- a task that reads its pages ---- */

struct reading {
	struct mover_sum *sum; /* or 0 */
	uint64_t fd, offset;
	struct iovec iov[IOVS]; /* a chunk */
	uint64_t n, size;
};

static int64_t reading_flush(struct reading *r)
{
	struct iovec left[IOVS];
	int64_t e;

	memcpy(left, r->iov, r->n * sizeof(*left));
	e = move_all(__NR_preadv, r->fd, left, r->n, &r->offset);
	for (uint64_t i = 0; e == 0 && r->sum && i < r->n; i++)
		sum_add(r->sum, r->iov[i].iov_base, r->iov[i].iov_len);
	r->n = r->size = 0;
	return e;
}

static int64_t reading_add(struct reading *r, char *p, uint64_t size)
{
	int64_t e = 0;

	while (e == 0 && size) {
		uint64_t room = CHUNK - r->size, n = size < room ? size : room;

		r->iov[r->n++] = (struct iovec){ p, n };
		r->size += n;
		p += n, size -= n;
		if (r->size == CHUNK || r->n == IOVS)
			e = reading_flush(r);
	}
	return e;
}

/*
 * Populated first, up to a huge page at a time, which is in the cache then: a fifth of the CPU time is the faults else.
 */
static int64_t read_long(struct reading *r, char *p, uint64_t size)
{
	int64_t e = 0;

	while (e == 0 && size) {
		uint64_t room = HUGE - (uint64_t)p % HUGE, n = size < room ? size : room;

		CALL(__NR_madvise, (uint64_t)p, n, MADV_POPULATE_WRITE);
		e = reading_add(r, p, n);
		p += n, size -= n;
	}
	return e;
}

int64_t mover_read(struct mover_sum *sum, uint64_t fd, const struct iovec *iov, uint64_t n,
                   uint64_t offset)
{
	struct reading r = { .sum = sum, .fd = fd, .offset = offset };
	int64_t e = 0;

	if (sum)
		sum_begin(sum);
	for (uint64_t i = 0; e == 0 && i < n; i++)
		e = iov[i].iov_len >= LONG ? read_long(&r, iov[i].iov_base, iov[i].iov_len)
		                           : reading_add(&r, iov[i].iov_base, iov[i].iov_len);
	return e < 0 ? e : reading_flush(&r);
}

/* ---- the helper ---- */

static int is_zero(const char *page)
{
	const uint64_t *p = (const uint64_t *)page;

	for (unsigned i = 0; i < MOVER_PAGE / sizeof(*p); i += 8)
		if (p[i] | p[i + 1] | p[i + 2] | p[i + 3] | p[i + 4] | p[i + 5] | p[i + 6] |
		    p[i + 7])
			return 0;
	return 1;
}

/* Where in an order. */
struct place {
	uint64_t run, at; /* bytes of the run */
	uint64_t page;    /* of all */
};

/* What is collected in desk->iov. */
struct chunk {
	struct mover_desk *desk;
	struct place next; /* that is not in it */
	uint64_t n, size;  /* iovecs, bytes */
	uint64_t zeros;    /* pages of it that are known to be zeros */
};

static void chunk_add(struct chunk *c, char *page)
{
	struct iovec *last = c->desk->iov + c->n - 1;

	if (c->n && (char *)last->iov_base + last->iov_len == page)
		last->iov_len += MOVER_PAGE;
	else
		c->desk->iov[c->n++] = (struct iovec){ page, MOVER_PAGE };
	c->size += MOVER_PAGE;
}

/* LOOK: what is zeros is left out; else nothing is. */
static void chunk_collect(struct chunk *c, int look)
{
	struct mover_desk *d = c->desk;

	c->n = c->size = c->zeros = 0;
	while (c->next.run < d->order.n && c->size < CHUNK && c->n < IOVS) {
		const struct mover_run *run = &d->order.runs[c->next.run];
		uint64_t page = c->next.page;
		char *p = (char *)run->start + c->next.at;
		int zero = c->next.at < run->size && look && is_zero(p);

		if (c->next.at == run->size) {
			c->next = (struct place){ c->next.run + 1, 0, page };
			continue;
		}
		if (zero && !run->keep_zeros)
			d->answer.zeros[page / 64] |= UINT64_C(1) << page % 64;
		else
			chunk_add(c, p);
		c->zeros += (uint64_t)(zero && run->keep_zeros);
		c->next.at += MOVER_PAGE;
		c->next.page++;
	}
}

/* Summed behind the write, which has brought it into the cache: the other way round costs half as much again. */
static int64_t chunk_move(struct chunk *c)
{
	struct mover_desk *d = c->desk;
	struct iovec left[IOVS];
	int64_t r;

	memcpy(left, d->iov, c->n * sizeof(*left));
	r = move_all(__NR_pwritev, 1, left, c->n, &d->offset);
	for (uint64_t i = 0; r == 0 && i < c->n; i++)
		sum_add(&d->sum, d->iov[i].iov_base, d->iov[i].iov_len);
	return r;
}

static uint64_t chunk_zeros(const struct chunk *c)
{
	const struct iovec *v = c->desk->iov;
	uint64_t zeros = 0;

	for (uint64_t i = 0; i < c->n; i++)
		for (uint64_t at = 0; at < v[i].iov_len; at += MOVER_PAGE)
			zeros += (uint64_t)is_zero((const char *)v[i].iov_base + at);
	return zeros;
}

/*
 * Looked through for zeros behind the write, too: a tenth of all time is the cache misses else. What has some is
 * taken back and written without them; where there are some there are more, so that the next chunks are looked
 * through before.
 *
 * A page that the program does not need any more (MADV_FREE) the kernel may take meanwhile: it is zeros then, and what
 * was written and what was summed may be two things. Nothing else changes who stands still, so that a chunk with as
 * many zeros as it had before has not changed.
 */
static int64_t chunk_write(struct chunk *c)
{
	struct mover_desk *d = c->desk;
	const struct mover_sum sum = d->sum;
	const struct place begun = c->next;
	const uint64_t offset = d->offset;

	for (int look = d->careful > 0;; look = 1) {
		int64_t r;

		chunk_collect(c, look);
		r = chunk_move(c);
		if (r < 0)
			return r;
		if (chunk_zeros(c) == c->zeros)
			break;
		d->sum = sum;
		d->offset = offset;
		c->next = begun;
		r = CALL(__NR_ftruncate, 1, offset);
		if (r < 0)
			return r;
	}
	d->answer.written += c->size;
	if (c->zeros || c->next.page - begun.page != c->size / MOVER_PAGE)
		d->careful = CAREFUL;
	else if (d->careful)
		d->careful--;
	return 0;
}

static int64_t write_order(struct mover_desk *desk)
{
	struct chunk c = { .desk = desk };
	int64_t r = 0;

	while (r == 0 && c.next.run < desk->order.n)
		r = chunk_write(&c);
	return r;
}

static void answer_order(struct mover_desk *desk)
{
	struct mover_answer *a = &desk->answer;

	memset(a, 0, sizeof(*a));
	a->error = write_order(desk);
	if (!desk->order.n) {
		sum_end(&desk->sum);
		a->hash = hash_of(desk->sum.pieces);
	}
	CALL(__NR_write, 0, (uint64_t)a, sizeof(*a));
}

/* Until there are no more orders, or nobody any more who gives them. */
void mover_write(struct mover_desk *desk)
{
	sum_begin(&desk->sum);
	for (;;) {
		long n = CALL(__NR_read, 0, (uint64_t)&desk->order, sizeof(desk->order));

		if (n == -EINTR)
			continue;
		if (n > 0)
			answer_order(desk);
		if (n <= 0 || !desk->order.n)
			CALL(__NR_exit_group, 0);
	}
}
