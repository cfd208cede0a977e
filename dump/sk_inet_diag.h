/* What only sock_diag(7) tells of UDP and UDP-Lite sockets. */
#pragma once

#include "dump/dump.h"

/*
 * What F, a socket, is shut down for: 1 reading, 2 writing. 0 also for one that is not
 * bound, which is not listed. -errno.
 */
int inet_diag_shutdown(struct dump *d, const struct file *f);

/* All that was listed, remembered in D. */
void inet_diag_forget(struct dump *d);
