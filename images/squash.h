/* An increment takes over what it needs of its parents. */
#pragma once

#include <stdbool.h>

#include "images/keys.h"

/*
 * The checkpoint in DIR gets copies of the pages that its parents have for it, and has no
 * parent then; they are left as they are. It is whole at any time, also if this fails or is
 * killed, and stays the parent of its own increments. What KEYS (or NULL) verify and decrypt
 * is signed and encrypted by them, too: keys that sign must verify. *RET_PARENTS: how many
 * there were; 0: nothing was to be done. Explained. -EINVAL: it is signed, and KEYS are not to sign.
 */
int squash(const char *dir, const struct image_keys *keys, bool sync, size_t *ret_parents);
