/* Files that the kernel makes as they are read. */
#pragma once

#include "dump/dump.h"

/*
 * Is F, a regular file or a directory, one of proc, sysfs, cgroups and their like? Told by
 * the file system, wherever that is mounted: such a file is found again by its path alone.
 */
bool file_is_kernel(const struct file *f);
