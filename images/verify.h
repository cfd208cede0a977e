/* The checksums of the files of a checkpoint. */
#pragma once

#include "images/images.h"

/* state.img: DATA has the hash that the manifest says. -EBADMSG, explained. */
int state_verify(const struct images *im, const uint8_t *data, size_t size);

/* The same of all page files, by as many threads as there are CPUs for us. */
int pages_verify(const struct images *im);
