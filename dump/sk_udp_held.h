/* UDP sockets to which nobody is told that they are gone, while they are. */
#pragma once

#include "dump/dump.h"
#include "lib/netlock.h"

struct udp_held {
	ARRAY(struct netlock_listener) all;
};

/* Those of D. -errno explained. */
int udp_held_find(struct dump *d, struct udp_held *ret);
void udp_held_done(struct udp_held *held);
