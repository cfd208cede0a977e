/*
 * Content: the task reads its own pages by the mover, many runs in one go, each page touched once; pieces of page
 * files with long runs of small pages are put in place (memory_place.c). Where there is much to read, threads of the
 * task share the work; they are gone before the threads of the checkpoint are made, whose numbers they may have
 * borne. Each makes the checksums of what it reads (memory_sums.h).
 */
#include <errno.h>
#include <linux/falloc.h>
#include <linux/futex.h>
#include <linux/sched.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "images/hash.h"
#include "images/spend.h"
#include "lib/cpus.h"
#include "lib/log.h"
#include "parasite/mover.h"
#include "restore/far.h"
#include "restore/memory_place.h"
#include "restore/memory_sums.h"

#define ENOUGH (8u << 20) /* bytes from which on threads pay */
#define VECTOR 1024u      /* runs that are read in one go */

/* Runs that follow each other in a file, to be read in one go. */
struct vector {
	struct restore *r;
	struct script *s;
	const struct images *im;
	uint32_t file;
	bool spend;            /* nobody else wants any of it */
	uint64_t sum;          /* what is read is added to that (memory_sums.h), or 0 */
	uint64_t offset, next; /* in the file: where it starts, where the next run must */
	struct iovec iov[VECTOR];
	size_t n;
};

static void vector_flush(struct vector *v)
{
	uint64_t fd = (uint64_t)v->im->pages[v->file], at;

	if (!v->n)
		return;
	at = script_put(v->s, v->iov, v->n * sizeof(*v->iov));
	script_op(v->s, OP_MOVER, EXPECT_SUCCESS, 0, 0,
	          (const uint64_t[6]){ arena_mover(v->s->arena, MOVER_READ), v->sum, fd, at, v->n,
	                               v->offset });
	if (v->spend)
		script_call(v->s, SYS_fallocate, fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		            v->offset, v->next - v->offset);
	v->n = 0;
}

static bool vector_takes(const struct vector *v, uint32_t file, uint64_t offset)
{
	return v->n < VECTOR && v->file == file && v->next == offset &&
	       (!v->im->own || !v->im->own[file] || v->next - v->offset < SPEND_PIECE);
}

static void vector_add(struct vector *v, uint32_t file, const struct page_run *run)
{
	bool spend = images_may_spend(v->im, file, run->offset, run->size);
	int e = images_is_later(v->im, file) ? far_need(v->r, file, run->offset, run->size) : 0;

	if (e < 0 && !v->s->error)
		v->s->error = e;

	if (v->n && !vector_takes(v, file, run->offset))
		vector_flush(v);
	if (!v->n) {
		v->file = file;
		v->spend = true;
		v->offset = run->offset;
	}
	v->spend &= spend;
	v->next = run->offset + run->size;
	if (v->n && (uint64_t)v->iov[v->n - 1].iov_base + v->iov[v->n - 1].iov_len == run->start)
		v->iov[v->n - 1].iov_len += run->size;
	else
		v->iov[v->n++] = (struct iovec){ (void *)run->start, run->size };
}

/*
 * All runs of a task or a list, or those of them that are put in place, or the others, one after the
 * other, in whatever pieces are wanted.
 */
struct supply {
	struct restore *r;
	const struct place *place;  /* NULL: all are read */
	bool placed;                /* those of pieces that are put in place */
	const struct sources *list; /* or ... */
	const struct record *rec;   /* ... records */
	size_t nrec, at;            /* at: of either */
	struct page_iter it;
	struct page_run rest; /* what is left of the current one, behind ... */
	struct page_run run;  /* ... what is treated alike of it, what is left of that */
	bool open;
};

static bool list_next(struct supply *p)
{
	const struct source *s;

	if (p->at + p->open == p->list->n)
		return false;
	p->at += p->open;
	p->open = true;
	s = &p->list->v[p->at];
	p->rest = (struct page_run){ s->start, s->size, s->offset };
	return true;
}

static uint32_t supply_file(const struct supply *p)
{
	return p->list ? p->list->v[p->at].file : ((const Img__Pages *)p->rec[p->at].msg)->file;
}

static bool rest_next(struct supply *p)
{
	if (p->list)
		return p->rest.size || list_next(p);
	while (!p->rest.size) {
		if (p->open && pages_next(&p->it, &p->rest))
			return true;
		if (p->open)
			p->at++;
		p->open = p->at < p->nrec;
		if (!p->open)
			return false;
		p->it = pages_iter(p->r->images, (const Img__Pages *)p->rec[p->at].msg);
	}
	return true;
}

/* Have some of the next run at hand. */
static bool supply_next(struct supply *p)
{
	while (!p->run.size) {
		bool placed;

		if (!rest_next(p))
			return false;
		p->run = p->rest;
		p->run.size = place_alike(p->place, supply_file(p), &p->rest, &placed);
		page_run_advance(&p->rest, p->run.size);
		if (placed != p->placed)
			p->run.size = 0;
	}
	return true;
}

static uint64_t supply_bytes(struct supply p)
{
	uint64_t sum = 0;

	for (; supply_next(&p); p.run.size = 0)
		sum += p.run.size;
	return sum;
}

/* Where the next byte of the supply begins a piece that comes whole and is left to its reader: that. */
static struct piece_sum *piece_ahead(struct supply p)
{
	const struct images *im = p.r->images;
	uint32_t file = supply_file(&p);
	uint64_t offset = p.run.offset, left;
	struct piece_sum *sum = p.list ? NULL : piece_left(im, file, offset);

	for (left = sum ? piece_size(im, file, offset) : 0; left;) {
		uint64_t n = p.run.size < left ? p.run.size : left;

		if (supply_file(&p) != file || p.run.offset != offset)
			return NULL;
		page_run_advance(&p.run, n);
		offset += n, left -= n;
		if (left && !supply_next(&p))
			return NULL;
	}
	return sum;
}

/* What one thread reads. */
struct part {
	struct supply *from;
	unsigned thread;
	struct vector v;
	struct window window;
	struct reader *reader; /* NULL: it makes no checksums */
};

static void part_emit(struct part *part, uint64_t size)
{
	struct supply *p = part->from;
	const struct images *im = p->r->images;

	while (size && supply_next(p)) {
		struct page_run run = p->run;

		run.size = run.size < size ? run.size : size;
		if (im->own && im->own[supply_file(p)] && run.size > SPEND_PIECE)
			run.size = SPEND_PIECE;
		if (p->placed && place_takes(p->place, run.start)) {
			vector_flush(&part->v);
			place_run(p->r, p->place, part->thread, &part->window, supply_file(p), &run,
			          part->v.sum, part->v.s);
		} else {
			vector_add(&part->v, supply_file(p), &run);
		}
		page_run_advance(&p->run, run.size);
		size -= run.size;
	}
}

/* The piece that begins here, with its checksum. */
static void part_piece(struct part *part, struct piece_sum *sum, uint64_t size)
{
	vector_flush(&part->v);
	part->v.sum = reader_begin(part->reader, sum);
	part_emit(part, size);
	vector_flush(&part->v);
	if (!part->v.sum && !part->v.s->error)
		part->v.s->error = -ENOMEM;
	part->v.sum = 0;
	reader_end(part->reader, size, part->v.s);
}

/*
 * The next SIZE bytes of the supply into the script S of the THREADth thread; of a piece whose checksum it makes all or
 * nothing.
 */
static void emit_part(struct supply *p, unsigned thread, uint64_t size, struct reader *reader,
                      struct script *s)
{
	struct part part = { .from = p,
		             .thread = thread,
		             .v = { .r = p->r, .s = s, .im = p->r->images },
		             .reader = reader };

	while (size && supply_next(p)) {
		struct piece_sum *sum = reader ? piece_ahead(*p) : NULL;
		uint64_t n = sum ? piece_size(p->r->images, supply_file(p), p->run.offset)
		                 : HASH_PIECE - p->run.offset % HASH_PIECE;

		if (sum && size < n / 2)
			break;
		if (sum) {
			part_piece(&part, sum, n);
		} else {
			n = n < p->run.size ? n : p->run.size;
			n = n < size ? n : size;
			part_emit(&part, n);
		}
		size -= n < size ? n : size;
	}
	vector_flush(&part.v);
}

/* Of the thread that runs S. NULL: nothing is left to who reads, or S has an error. */
static struct reader *reader_for(const struct supply *p, uint64_t bytes, struct script *s)
{
	const struct images *im = p->r->images;
	struct reader *ret;

	if (!im->sums || p->list || !bytes)
		return NULL;
	ret = reader_new(p->r, s, (size_t)(bytes / HASH_PIECE) + im->npages + 1);
	if (!ret && !s->error)
		s->error = -ENOMEM;
	return ret;
}

/*
 * A thread that reads its part and is gone. The kernel clears the word at
 * *RET_ALIVE and wakes who waits for it when the thread ends. BYTES: what all threads read.
 */
static int emit_filler(struct supply *p, struct rtask *t, unsigned thread, uint64_t size,
                       uint64_t bytes, struct script *s, uint64_t *ret_alive)
{
	struct script *own = array_add(&t->fillers);
	struct clone_args args = { .flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND |
		                            CLONE_THREAD | CLONE_CHILD_CLEARTID,
		                   .stack_size = ARENA_STACK };
	uint32_t alive = 1;
	int e;

	if (!own)
		return -ENOMEM;
	script_init(own, s->arena);
	own->room = s->room;
	e = script_head(own);
	if (e < 0)
		return e;
	emit_part(p, thread, size, reader_for(p, bytes, own), own);
	script_call(own, SYS_exit, 0);
	e = script_finish(own, (uint64_t)p->r->shared, 0, NULL, 0);
	if (e < 0)
		return e;
	*ret_alive = script_put(s, &alive, sizeof(alive));
	args.stack = own->stack - ARENA_STACK;
	args.child_tid = *ret_alive;
	script_op(
		s, OP_CLONE, EXPECT_SUCCESS, 0, SYS_clone3,
		(const uint64_t[6]){ script_put(s, &args, sizeof(args)), sizeof(args), own->head });
	return 0;
}

/* The first call may find it gone already; the second must. */
static void emit_wait(uint64_t alive, struct script *s)
{
	static const struct timespec now;

	script_ask(s, SYS_futex, alive, FUTEX_WAIT, 1, 0);
	script_want(s, -EAGAIN, SYS_futex, alive, FUTEX_WAIT, 1, script_put(s, &now, sizeof(now)));
}

/* Their numbers are the kernel's choice: no other task may need one while they live. */
bool memory_may_share(const struct restore *r, const struct rtask *t)
{
	return r->threaded == (t->threads.n > 1);
}

static int emit_all(struct supply *p, struct rtask *t, bool threads, struct script *s)
{
	uint64_t alive[FILLERS], bytes = supply_bytes(*p), part;
	unsigned n = 0, fillers = bytes >= ENOUGH && threads ? (unsigned)cpus_allowed(FILLERS) : 1;

	part = (bytes / fillers + 4095) & ~UINT64_C(4095);
	while (n + 1 < fillers) {
		int e = emit_filler(p, t, n + 1, part, bytes, s, &alive[n]);

		if (e < 0)
			return e;
		n++;
	}
	emit_part(p, 0, UINT64_MAX, reader_for(p, bytes, s), s);
	for (unsigned i = 0; i < n; i++)
		emit_wait(alive[i], s);
	return 0;
}

static int emit_placed(struct supply p, struct rtask *t, bool threads, struct script *s)
{
	int e;

	if (!p.place || !p.place->any)
		return 0;
	p.placed = true;
	place_begin(p.place, s);
	e = emit_all(&p, t, threads, s);
	place_end(p.place, s);
	return e;
}

int memory_fill(struct restore *r, struct rtask *t, const struct place *place, struct script *s)
{
	struct supply p = { .r = r, .place = place };
	int e;

	p.rec = images_find(r->images, KIND_pages, (uint32_t)t->pid, &p.nrec);
	e = emit_placed(p, t, memory_may_share(r, t), s);
	return e < 0 ? e : emit_all(&p, t, memory_may_share(r, t), s);
}

int memory_read(struct restore *r, struct rtask *t, const struct sources *list,
                const struct place *place, bool threads, struct script *s)
{
	struct supply p = { .r = r, .list = list, .place = place };
	int e = emit_placed(p, t, threads, s);

	return e < 0 ? e : emit_all(&p, t, threads, s);
}
