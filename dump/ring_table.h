/*
 * What is registered with an io_uring: buffers by their addresses, files and an eventfd by what the kernel
 * has in its memory (lib/uring_facts.h). Without that, a ring that has files or an eventfd cannot be carried.
 */
#pragma once

#include "dump/dump.h"
#include "lib/uring_facts.h"
#include "proto/io_uring.pb-c.h"

/*
 * Of F, which should be idle. -EOPNOTSUPP: this kernel or our rights do not let us, or it has changed meanwhile.
 * To be freed by uring_facts_done().
 */
int ring_facts(struct dump *d, const struct file *f, struct uring_facts *ret);

/*
 * To MSG, to be freed by ring_table_done(): its buffers, of which there are BUFFERS, as fdinfo, TEXT, lists them, and
 * what is in FACTS. NULL, or why that cannot be carried.
 */
const char *ring_table_put(struct dump *d, const struct file *f, const char *text, size_t buffers,
                           const struct uring_facts *facts, Img__IoUring *msg);
void ring_table_done(Img__IoUring *msg);
