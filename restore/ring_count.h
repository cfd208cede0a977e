/*
 * An io_uring comes to the numbers of requests and completions that it had by making them: requests to do nothing,
 * those that give and take buffers (restore/ring_groups.h), some without a completion, and messages from another ring.
 */
#pragma once

#include "lib/uring.h"
#include "proto/io_uring.pb-c.h"

/* Its array of indexes, if it has one: each is that of its place. */
void ring_index_all(struct uring *u, const Img__IoUring *msg);

/* U is mapped. NOTHING, HOW: as for ring_steps(); H: if it has rings of buffers. -errno. */
struct ring_hold;
int ring_count(struct uring *u, const Img__IoUring *msg, int nothing, unsigned how,
               const struct ring_hold *h);
