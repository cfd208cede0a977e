/* Parents lose what the last increment has no use for. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "images/images.h"

struct thinned {
	size_t parents;
	uint64_t freed; /* bytes of the file system */
};

/*
 * In the page files of all parents of the checkpoint in DIR those pages become holes that it has no
 * use for. It is whole at any time, also if this fails or is killed; its parents are good for nothing
 * but it then, and say so. Done once more, it goes on where it was killed. KEYS (or NULL) verify; parents
 * that are signed are signed anew by them. Explained.
 */
int thin(const char *dir, const struct image_keys *keys, bool sync, struct thinned *ret);

/*
 * Can it be done with FIRST and its parents? -ENOTSUP, explained: they are encrypted or compressed,
 * or their file system has no holes; -EINVAL: they are signed, and KEYS are not to sign.
 */
int thin_check(const struct images *first, const struct image_keys *keys);
