/* The multicast groups that sockets are members of. */
#pragma once

#include "dump/dump.h"
#include "proto/mcast.pb-c.h"

struct mcast_groups {
	ARRAY(Img__McastGroup) all;
	Img__McastGroup **list; /* as a field of a record */
};

/* Those of F, of which FD is a descriptor of ours. -errno explained. */
int mcast_read(struct dump *d, const struct file *f, int fd, struct mcast_groups *ret);
void mcast_done(struct mcast_groups *groups);

/* What the network namespace knows of groups, remembered in D. */
void mcast_forget(struct dump *d);
