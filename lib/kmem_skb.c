#include "lib/kmem_skb.h"

#include <errno.h>

static void take(struct kmem_bytes *g, uint64_t at, uint64_t n)
{
	if (!g->r.error && n > g->size - g->have)
		g->r.error = -EOPNOTSUPP;
	if (!g->r.error)
		kmem_failed(&g->r, kmem_copy(g->r.k, at, g->data + g->have, n));
	g->have += n;
}

/* NUMBER of the pages at SHARED, the struct skb_shared_info. */
static void take_page(struct kmem_bytes *g, uint64_t shared, uint64_t number)
{
	struct kmem_reader *r = &g->r;
	const struct btf_type *frag = btf_struct(r->k->btf, "skb_frag");
	struct place frags = kmem_place(r, "skb_shared_info", "frags");
	struct place page = btf_place(r->k->btf, "skb_frag", "netmem");
	uint64_t at = shared + frags.at + number * (frag ? frag->size : 0), address;

	if (!g->pages.size)
		kmem_failed(r, kmem_pages_find(r->k, &g->pages));
	if (!frag || r->error)
		return kmem_failed(r, -EOPNOTSUPP);
	if (!page.size) /* before 6.11 */
		page = btf_place(r->k->btf, "skb_frag", "bv_page");
	address = kmem_page_address(&g->pages, kmem_get_at(r, &page, at));
	take(g, address + kmem_get(r, "skb_frag", "offset", at),
	     kmem_get(r, "skb_frag", "len", at));
}

void kmem_skb_take(struct kmem_bytes *g, uint64_t skb, uint64_t from)
{
	struct kmem_reader *r = &g->r;
	uint64_t head = kmem_get(r, "sk_buff", "head", skb);
	uint64_t data = kmem_get(r, "sk_buff", "data", skb);
	uint64_t paged = kmem_get(r, "sk_buff", "data_len", skb);
	uint64_t end = data + kmem_get(r, "sk_buff", "len", skb) - paged;
	uint64_t shared = head + kmem_get(r, "sk_buff", "end", skb);
	uint64_t pages = paged ? kmem_get(r, "skb_shared_info", "nr_frags", shared) : 0;

	if (!from)
		from = data;
	if (from < data || from > end)
		kmem_failed(r, -EOPNOTSUPP);
	take(g, from, end - from);
	for (uint64_t i = 0; i < pages && !r->error; i++)
		take_page(g, shared, i);
}
