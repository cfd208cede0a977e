/* The settings of a cgroup. */
#pragma once

#include "proto/cgroup_dir.pb-c.h"

/*
 * Write those of MSG that differ to the directory PATH. One that this kernel does not have is told
 * as lost. -errno, explained.
 */
int cgroup_write_props(const char *path, const Img__CgroupDir *msg);
