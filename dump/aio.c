/*
 * AIO contexts, dump half. A context is its ring, memory that the kernel and the
 * program share (struct aio_ring of fs/aio.c): head, tail and the events that
 * nobody has fetched are read from there. Requests that are still under way
 * are told by no file: those that a disk is at are waited for (aio_wait.c), those that wait for a file to be ready are
 * read from the memory of the kernel (aio_poll.c), or else it is told that there may be some.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "dump/aio_poll.h"
#include "dump/aio_wait.h"
#include "dump/dump.h"
#include "dump/memory_map.h"
#include "lib/cleanup.h"
#include "lib/fd.h"
#include "lib/log.h"
#include "proto/aio.pb-c.h"

#define RING_MAGIC 0xa10a10a1
#define EVENT_SIZE 32

struct ring {
	uint32_t id, nr, head, tail;
	uint32_t magic, compat_features, incompat_features, header_length;
};

struct contexts {
	ARRAY(Img__Aio__Context) all;
};

static void contexts_done(struct contexts *c)
{
	array_each (context, &c->all) {
		free(context->events.data);
		aio_polls_free(context);
	}
	array_done(&c->all);
}

static bool ring_makes_sense(const struct ring *ring, const struct vma *v)
{
	uint64_t size = v->end - v->start;

	return ring->magic == RING_MAGIC && !ring->incompat_features &&
	       ring->header_length == sizeof(*ring) &&
	       ring->nr == (size - sizeof(*ring)) / EVENT_SIZE && ring->head < ring->nr &&
	       ring->tail < ring->nr;
}

/* The events from head to tail, in order. */
static int events_read(const struct task *t, Img__Aio__Context *c)
{
	uint32_t n = (c->tail + c->nr - c->head) % c->nr;
	uint32_t first = n < c->nr - c->head ? n : c->nr - c->head;
	uint64_t events = c->address + sizeof(struct ring);
	int r;

	c->events.data = malloc((size_t)n * EVENT_SIZE + 1);
	c->events.len = (size_t)n * EVENT_SIZE;
	if (!c->events.data)
		return -ENOMEM;
	r = pread_full(t->mem, c->events.data, (size_t)first * EVENT_SIZE,
	               (off_t)(events + (uint64_t)c->head * EVENT_SIZE));
	if (r < 0)
		return r;
	return pread_full(t->mem, c->events.data + (size_t)first * EVENT_SIZE,
	                  (size_t)(n - first) * EVENT_SIZE, (off_t)events);
}

static int context_read(const struct task *t, const struct vma *v, Img__Aio__Context *ret)
{
	struct ring ring;
	int r = pread_full(t->mem, &ring, sizeof(ring), (off_t)v->start);

	img__aio__context__init(ret);
	if (r < 0)
		return fail(r, "%s: AIO context %" PRIx64 ": read its ring", task_name(t),
		            v->start);
	if (!ring_makes_sense(&ring, v))
		return fail(-ENOTSUP,
		            "%s: AIO context %" PRIx64
		            ": its ring is not as the kernel makes it: not supported",
		            task_name(t), v->start);
	ret->address = v->start;
	ret->size = v->end - v->start;
	ret->nr = ring.nr;
	ret->head = ring.head;
	ret->tail = ring.tail;
	return events_read(t, ret);
}

static int contexts_put(struct dump *d, const struct task *t, struct contexts *c)
{
	auto_free Img__Aio__Context **list = calloc(c->all.n, sizeof(*list));
	Img__Aio msg = IMG__AIO__INIT;

	if (!list)
		return -ENOMEM;
	for (size_t i = 0; i < c->all.n; i++)
		list[i] = &c->all.v[i];
	msg.n_context = c->all.n;
	msg.context = list;
	return image_put(d->out, KIND_aio, (uint32_t)t->pid, &msg.base);
}

static bool has_context(struct task *t)
{
	array_each (v, &t->vmas)
		if (vma_class(v) == VMA_AIO)
			return true;
	return false;
}

/* Nothing is asked; but what a disk is at has to be done before anything is read. */
static int aio_ask(struct dump *d, struct thread *th, struct script *s, struct ask *ret)
{
	d->worked_on = true;
	if (aio_wait(d, th->task) == 0)
		return 0;
	return fail(-ETIMEDOUT,
	            "%s: has AIO contexts, and a disk that it uses (O_DIRECT) is still at work: "
	            "requests may be under way; try again when that has less to do",
	            task_name(th->task));
}

static int contexts_read(struct dump *d, struct task *t, const struct aio_found *found,
                         struct contexts *contexts)
{
	array_each (v, &t->vmas) {
		Img__Aio__Context *context;
		int r;

		if (vma_class(v) != VMA_AIO)
			continue;
		context = array_add(&contexts->all);
		r = context ? context_read(t, v, context) : -ENOMEM;
		if (r == 0)
			r = aio_polls_put(t, found, context);
		if (r < 0)
			return r;
	}
	return 0;
}

/* What waits may come to its end meanwhile: then it is an event. */
static int aio_take(struct dump *d, struct thread *th, const struct script *s,
                    const struct ask *ask)
{
	auto_(contexts_done) struct contexts contexts = {};
	uint64_t before;
	int r;

	do {
		auto_(aio_found_done) struct aio_found found = {};

		contexts_done(&contexts);
		before = aio_tails(th->task);
		r = aio_polls_find(d, th->task, &found);
		if (r == 0)
			r = contexts_read(d, th->task, &found, &contexts);
	} while (r == 0 && aio_tails(th->task) != before);
	if (r < 0)
		return r;
	return contexts.all.n ? contexts_put(d, th->task, &contexts) : 0;
}

const struct dump_aspect dump_aio = {
	.scope = SCOPE_PROCESS,
	.concerns = has_context,
	.ask = aio_ask,
	.take = aio_take,
};
