/* What a checkpoint holds, for people and for programs. */
#pragma once

#include <stdbool.h>
#include <stdio.h>

#include "images/images.h"

/*
 * Print the manifest and all records of the checkpoint DIR to OUT, as text or
 * as one JSON object. Page files are read only where a signature is verified.
 * 0 or -errno, explained.
 */
int images_show(const char *dir, const struct image_keys *keys, bool json, FILE *out);

/* The same for images that are decoded already. */
int images_print(const struct images *im, bool json, FILE *out);
