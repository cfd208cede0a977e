/*
 * What the kernel's sock_diag interface tells about unix sockets. Looked up by
 * inode number; all are fetched at once, at the first question.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct dump;

struct unix_sock {
	uint32_t ino;
	uint32_t
		peer; /* inode of the other end, 0: closed, or waiting to be accepted; see has_peer */
	bool has_peer;     /* it is connected */
	bool named;        /* it has a name, or was accepted by one that has */
	uint8_t type;      /* SOCK_... */
	uint8_t state;     /* TCP_... */
	uint8_t shutdown;  /* RCV_SHUTDOWN 1, SEND_SHUTDOWN 2 */
	uint64_t place[2]; /* its name: device and inode of a file; 0 and a hash of others */
	uint32_t rqueue;   /* of a listener: how many wait */
	uint32_t wqueue;   /* of a listener: the backlog; else what was sent and not received yet */
};

/*
 * The socket with inode INO of our network namespace. 0, or -errno; -ENOENT
 * for one of another namespace. The list is kept until unix_socks_free().
 */
int unix_sock_find(struct dump *d, uint64_t ino, struct unix_sock *ret);

/* The listener, its inode, that has the same name as SOCK; 0: there is none. */
uint32_t unix_sock_listener(struct dump *d, const struct unix_sock *sock);

/* The listener, its inode, that the client INO waits for; 0: none. */
uint32_t unix_sock_waits(struct dump *d, uint32_t ino);

/* The clients, inodes, that wait for LISTENER in their order, 0: one that has closed. How many. */
uint32_t unix_sock_waiting(struct dump *d, uint32_t listener, const uint32_t **ret);

/* Forget all that was fetched. */
void unix_socks_free(struct dump *d);
