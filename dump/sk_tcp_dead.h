/* Connections that have ended while the program still has something to read of them, or to be told. */
#pragma once

#include "dump/dump.h"
#include "proto/sk_tcp.pb-c.h"

struct tcp_dead {
	bool ended;                 /* it was connected, and is no more; else it never was */
	int error;                  /* that the program was not told yet; 0: none */
	bool guessed;               /* nobody says which one it is */
	bool queue;                 /* something waits in its error queue */
	ProtobufCBinaryData unread; /* what it has received, and not read */
};

/*
 * FD is ours of the socket F, whose state is TCP_CLOSE; what it has received is read once the tree is frozen.
 * -errno explained; *RET is to be given to tcp_dead_done().
 */
int tcp_dead_read(struct dump *d, const struct file *f, int fd, struct tcp_dead *ret);
void tcp_dead_done(struct tcp_dead *dead);

/* Say what of it a restore does not bring back as it was. */
void tcp_dead_lose(const struct file *f, const struct tcp_dead *dead);
