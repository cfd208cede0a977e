/*
 * The program that chooses among the sockets of a port (SO_ATTACH_REUSEPORT_CBPF): no call tells of it, the memory of
 * the kernel does (lib/kmem.h). It chooses by number, so the order of its sockets counts.
 */
#pragma once

#include <linux/filter.h>
#include <sys/types.h>

#include "lib/kmem.h"

struct reuseport_facts {
	bool has_program;
	struct sock_filter *insns; /* NULL: it is one of eBPF */
	size_t n_insns;
	ino_t *members; /* the inodes of the sockets, in its order */
	size_t n_members;
};

/*
 * By our own descriptor FD, a socket of TCP or UDP. 0; *RET is to be given to
 * reuseport_facts_done(). -EOPNOTSUPP: this kernel is another one. -errno.
 */
int reuseport_facts_read(const struct kmem *k, int fd, struct reuseport_facts *ret);
void reuseport_facts_done(struct reuseport_facts *facts);
