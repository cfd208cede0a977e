/* What the one who uses an io_uring does for it himself. */
#pragma once

#include "proto/io_uring.pb-c.h"
#include "restore/restore.h"

/* The ring that FILE is, or NULL. */
const Img__IoUring *io_uring_record(const struct restore *r, uint32_t file);

/* Are its requests made at the end, or by its thread? */
bool ring_is_late(const Img__IoUring *msg);
