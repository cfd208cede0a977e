/* What the memory of an io_uring tells of how it was made, where nothing else does. */
#pragma once

#include "dump/dump.h"
#include "lib/uring.h"

/* Has F, which is U and has carried out so many REQUESTS, an array of indexes? */
bool ring_has_array(const struct file *f, const struct uring *u, uint64_t requests);
/* Are its entries of the usual size? ARRAY: it has an array of indexes. */
bool ring_is_plain(const struct uring *u, bool array);
