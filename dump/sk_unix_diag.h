/* All unix sockets of this network namespace, as sock_diag(7) lists them. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct dump;

struct unix_sock {
	uint32_t ino;
	uint32_t peer; /* inode; 0: none, or closed */
	uint8_t type, state, shutdown;
	bool has_peer; /* connected, even if the peer was closed since */
	bool named;
};

/* What the kernel knows of the socket INO, read once per gathering. -ENOENT: of another network namespace. */
int unix_sock_find(struct dump *d, uint64_t ino, struct unix_sock *ret);

void unix_socks_free(struct dump *d);
