/* The build id of a file that is mapped. */
#pragma once

#include "dump/dump.h"

/* Of F, which nobody has open: its length; 0: it has none, or it cannot be told. */
size_t build_id_read(const struct dump *d, const struct file *f, uint8_t *buf, size_t size);
