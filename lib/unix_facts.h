/*
 * What waits in a UNIX socket where it cannot be peeked at (lib/kmem.h): in one that nobody has accepted yet, which
 * belongs to no descriptor, and in one whose program is to be told of an error, which would be told to us instead.
 */
#pragma once

#include "lib/array.h"
#include "lib/kmem.h"

struct unix_message {
	uint8_t *data;
	size_t size;
};

struct unix_messages {
	ARRAY(struct unix_message) all;
};

/*
 * By our own descriptor FD, a stream or seqpacket socket which nobody uses meanwhile: of that, or OF_PEER. Those of a
 * stream are pieces. 0; *RET is to be given to unix_facts_done(). -EOPNOTSUPP: this kernel is another one, or there are
 * descriptors in them, or urgent data. -errno.
 */
int unix_facts_read(const struct kmem *k, int fd, bool of_peer, struct unix_messages *ret);
void unix_facts_done(struct unix_messages *m);
