/* Provided buffers of an io_uring: rings of buffers, and lists of them. */
#pragma once

#include "dump/dump.h"
#include "lib/uring_facts.h"
#include "proto/io_uring.pb-c.h"

/*
 * To MSG, to be freed by ring_groups_done(), which says already how large the ring is and what it has done: the groups
 * of F, of which FACTS are known. Where they are in memory is looked for once all stands still. NULL, or why they
 * cannot be carried.
 */
const char *ring_groups_put(struct dump *d, const struct file *f, const struct uring_facts *facts,
                            Img__IoUring *msg);
void ring_groups_done(Img__IoUring *msg);
