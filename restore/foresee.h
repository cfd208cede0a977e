/* What a dump wants to know of the restore that will follow it. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "proto/task.pb-c.h"

/*
 * Can a tree of these processes be made again (tree.c)? Their threads do not matter, their
 * order is changed. 0, or -errno explained: a dump that ends it would lose it.
 */
int restore_foresee(const Img__Task **tasks, size_t n, bool shell_job);
