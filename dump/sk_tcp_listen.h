/* Listeners: connections that wait to be accepted, and those who ask for one. */
#pragma once

#include "dump/dump.h"
#include "lib/netlock.h"

/* Before the freeze and after: F, of which FD is ours, has none that waits. -ENOTSUP explained. */
int tcp_listener_check(struct dump *d, const struct file *f, int fd);

/*
 * Before the freeze: who asks for a new connection has to wait from now on; and those
 * that are being made are accepted, for which the program has a moment. -errno explained.
 */
int tcp_listeners_hold(struct dump *d);

/* What the lock that stays must hold of them; none without tcp_listeners_hold(). */
void tcp_listeners_lock(const struct dump *d, struct netlock *lock);

void tcp_listeners_release(struct dump *d);
