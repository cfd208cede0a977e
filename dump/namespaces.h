/* Which namespaces a tree lives in. */
#pragma once

#include "dump/dump.h"

/* Before the freeze: 0, or -errno explained: T or, where they are not many, one of its threads cannot be carried. */
int namespaces_check(const struct dump *d, const struct task *t);

/* The same of all threads where they are many, when the kernel has told of them (alike.h). */
int namespaces_prepare(struct dump *d);
