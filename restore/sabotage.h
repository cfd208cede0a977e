/* Failures in the scripts of a restore, for the tests. */
#pragma once

#include "restore/restore.h"

/* Does --fail-at mean an op, and not a stage? */
bool sabotage_wanted(const struct restore_options *opt);

/* All scripts are written: spoil the op that --fail-at names. -EINVAL, explained: there is none. */
int sabotage_scripts(struct restore *r);
