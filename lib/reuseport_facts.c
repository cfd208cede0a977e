/* net/core/sock_reuseport.c: the sockets of a port that share it have a group, once they wait for somebody. */
#include "lib/reuseport_facts.h"

#include <errno.h>
#include <stdlib.h>

static int insns_read(struct kmem_reader *r, uint64_t program, struct reuseport_facts *ret)
{
	uint64_t own = kmem_get(r, "bpf_prog", "orig_prog", program);
	uint64_t n = own ? kmem_get(r, "sock_fprog_kern", "len", own) : 0;
	uint64_t at = n ? kmem_get(r, "sock_fprog_kern", "filter", own) : 0;

	if (r->error || !n)
		return r->error;
	ret->insns = calloc(n, sizeof(*ret->insns));
	if (!ret->insns)
		return -ENOMEM;
	ret->n_insns = n;
	return kmem_copy(r->k, at, ret->insns, n * sizeof(*ret->insns));
}

static ino_t inode_of(struct kmem_reader *r, uint64_t sock)
{
	struct place inside = kmem_place(r, "socket_alloc", "socket");
	uint64_t at = kmem_get(r, "sock", "sk_socket", sock);

	return kmem_get(r, "socket_alloc", "vfs_inode.i_ino", at - inside.at);
}

static int members_read(struct kmem_reader *r, uint64_t group, struct reuseport_facts *ret)
{
	struct place slot = kmem_place(r, "sock_reuseport", "socks");
	uint64_t n = kmem_get(r, "sock_reuseport", "num_socks", group);

	slot.size = sizeof(uint64_t);
	ret->members = calloc(n + 1, sizeof(*ret->members));
	if (!ret->members)
		return -ENOMEM;
	for (; ret->n_members < n && !r->error; slot.at += slot.size)
		ret->members[ret->n_members++] = inode_of(r, kmem_get_at(r, &slot, group));
	return r->error;
}

int reuseport_facts_read(const struct kmem *k, int fd, struct reuseport_facts *ret)
{
	struct kmem_reader r = { .k = k };
	uint64_t group = kmem_get(&r, "sock", "sk_reuseport_cb", kmem_sock(&r, fd));
	uint64_t program = group ? kmem_get(&r, "sock_reuseport", "prog", group) : 0;
	int e;

	*ret = (struct reuseport_facts){ .has_program = program };
	if (r.error || !program)
		return r.error;
	e = insns_read(&r, program, ret);
	if (e == 0)
		e = members_read(&r, group, ret);
	if (e < 0)
		reuseport_facts_done(ret);
	return e;
}

void reuseport_facts_done(struct reuseport_facts *facts)
{
	free(facts->insns);
	free(facts->members);
	*facts = (struct reuseport_facts){};
}
