/* Where the kernel keeps which Landlock domain a task is in, which no type tells (lib/btf.h). */
#pragma once

#include "lib/btf.h"

/*
 * The number of the 64 bit word, in what cred.security of its credentials points to, that is 0 of who is in no domain.
 * Found out by a child that restricts itself. -EOPNOTSUPP: it cannot be told; -errno.
 */
int landlock_word(const struct btf *b);
