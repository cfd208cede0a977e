/* What is registered with an io_uring. */
#pragma once

#include "proto/io_uring.pb-c.h"
#include "restore/restore.h"

/* Could a dump have written it? */
bool ring_table_sound(const struct restore *r, const Img__IoUring *msg);
/* In T: register it under descriptor FD, when all others are at their numbers, too. -errno, explained. */
int ring_table_emit(struct restore *r, const struct rtask *t, struct script *s, int fd,
                    const Img__IoUring *msg);
/* The number of the call that registers its eventfd. */
unsigned ring_event_call(const Img__IoUring *msg);
