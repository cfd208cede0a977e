/*
 * A context keeps a list of the requests that can be cancelled, which are those that poll. A process is known by
 * the memory that its /proc/PID/mem leads to, which has a table of contexts.
 */
#include "lib/aio_polls.h"

#include <errno.h>

#define CONTEXT      "kioctx"
#define REQUEST      "aio_kiocb"
#define CONTEXTS_MAX 65536u
#define REQUESTS_MAX 1048576u

static const struct place word = { .found = true, .size = 8 };

static void request_read(struct kmem_reader *r, uint64_t at, uint64_t context,
                         struct aio_polls *ret)
{
	struct aio_poll *poll = array_add(&ret->all);

	if (!poll || ret->all.n > REQUESTS_MAX) {
		kmem_failed(r, poll ? -EPROTO : -ENOMEM);
		return;
	}
	poll->context = context;
	poll->iocb = kmem_get(r, REQUEST, "ki_res.obj", at);
	poll->data = kmem_get(r, REQUEST, "ki_res.data", at);
	poll->file = kmem_get(r, REQUEST, "ki_filp", at);
	poll->event = kmem_get(r, REQUEST, "ki_eventfd", at);
	poll->events = (uint32_t)kmem_get(r, REQUEST, "poll.events", at);
}

static void context_read(struct kmem_reader *r, uint64_t at, struct aio_polls *ret)
{
	uint64_t id = kmem_get(r, CONTEXT, "user_id", at);
	uint64_t head = at + kmem_place(r, CONTEXT, "active_reqs").at;
	uint32_t in_list = kmem_place(r, REQUEST, "ki_list").at;
	uint64_t node = kmem_get_at(r, &word, head);

	while (!r->error && node != head) {
		if (!node)
			kmem_failed(r, -EPROTO);
		else
			request_read(r, node - in_list, id, ret);
		node = kmem_get_at(r, &word, node);
	}
}

int aio_polls_read(const struct kmem *k, int mem, struct aio_polls *ret)
{
	struct kmem_reader r = { .k = k };
	uint64_t table, n, at;

	*ret = (struct aio_polls){};
	table = kmem_get(&r, "mm_struct", "ioctx_table", kmem_private(&r, mem));
	if (r.error || !table)
		return r.error;
	n = kmem_get(&r, "kioctx_table", "nr", table);
	at = table + kmem_place(&r, "kioctx_table", "table").at;
	if (n > CONTEXTS_MAX)
		kmem_failed(&r, -EOPNOTSUPP);
	for (uint64_t i = 0; !r.error && i < n; i++) {
		uint64_t context = kmem_get_at(&r, &word, at + 8 * i);

		if (context)
			context_read(&r, context, ret);
	}
	if (r.error)
		aio_polls_done(ret);
	return r.error;
}

void aio_polls_done(struct aio_polls *p)
{
	array_done(&p->all);
}
