/*
 * net/unix/af_unix.c, unix_stream_connect(): the end that will be accepted is there, its client's peer, and receives.
 */
#include "lib/unix_facts.h"

#include <errno.h>
#include <stdlib.h>

#include "lib/kmem_skb.h"

#define BUFFERS_MAX 65536

static int take(const struct kmem *k, uint64_t skb, struct unix_messages *to)
{
	struct kmem_bytes g = { .r = { .k = k } };
	struct place own = kmem_place(&g.r, "sk_buff", "cb");
	struct unix_message *m = array_add(&to->all);

	if (!m)
		return -ENOMEM;
	g.size = kmem_get(&g.r, "sk_buff", "len", skb);
	if (kmem_get(&g.r, "unix_skb_parms", "fp", skb + own.at))
		kmem_failed(&g.r, -EOPNOTSUPP);
	if (g.r.error)
		return g.r.error;
	m->data = g.data = malloc(g.size + 1);
	if (!m->data)
		return -ENOMEM;
	kmem_skb_take(&g, skb, 0);
	m->size = g.have;
	return g.r.error ? g.r.error : g.have == g.size ? 0 : -EOPNOTSUPP;
}

/* Whatever is sent out of band lies beside the queue. */
static bool has_urgent(struct kmem_reader *r, uint64_t sock)
{
	struct place place = btf_place(r->k->btf, "unix_sock", "oob_skb");

	return place.found && kmem_get_at(r, &place, sock);
}

int unix_facts_read(const struct kmem *k, int fd, bool of_peer, struct unix_messages *ret)
{
	struct kmem_reader r = { .k = k };
	struct place queue = kmem_place(&r, "sock", "sk_receive_queue");
	uint64_t own = kmem_sock(&r, fd);
	uint64_t sock = of_peer ? kmem_get(&r, "unix_sock", "peer", own) : own;
	uint64_t skb = kmem_get(&r, "sock", "sk_receive_queue.next", sock);
	int e = !r.error && has_urgent(&r, sock) ? -EOPNOTSUPP : r.error;

	*ret = (struct unix_messages){};
	for (int i = 0; e == 0 && skb != sock + queue.at; i++) {
		e = i == BUFFERS_MAX ? -EOPNOTSUPP : take(k, skb, ret);
		skb = kmem_get(&r, "sk_buff", "next", skb);
		if (e == 0)
			e = r.error;
	}
	return e;
}

void unix_facts_done(struct unix_messages *m)
{
	array_each (one, &m->all)
		free(one->data);
	array_done(&m->all);
}
