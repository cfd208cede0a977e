/* The build id of a file that is mapped. */
#pragma once

#include "dump/dump.h"

/* Before the freeze: those of all files that are known by now, for build_id_read(). -ENOMEM. */
int build_ids_prepare(struct dump *d);

/*
 * Of F, which nobody has open: its length; 0: it has none, or it cannot be told. It is read again if the file has
 * changed since build_ids_prepare().
 */
size_t build_id_read(const struct dump *d, const struct file *f, uint8_t *buf, size_t size);

void build_ids_done(struct dump *d);
