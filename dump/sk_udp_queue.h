/* The datagrams that wait in a socket. */
#pragma once

#include "dump/dump.h"
#include "proto/sk_udp.pb-c.h"

struct udp_queue {
	ARRAY(Img__SkUdp__Datagram) all;
	Img__SkUdp__Datagram **list; /* as a field of a record */
	size_t seen; /* how many the kernel has shown, of which it puts some together */
};

/* Those of F, of which FD is a descriptor of ours: all stay where they are. -errno explained. */
int udp_queue_read(struct dump *d, const struct file *f, int fd, struct udp_queue *ret);
void udp_queue_done(struct udp_queue *q);
