/* The command that leads to the receiver. */
#pragma once

#include <sys/types.h>

#include "migrate/channel.h"
#include "migrate/migrate.h"

/* Start it. -errno, explained. */
int peer_start(const struct migration *m, struct channel *ret, pid_t *ret_pid);

/* It is needed no more: the channel is closed, and it has a moment to end by itself. */
void peer_end(struct channel *c, pid_t pid);
