/* A restore in a pid namespace of its own. */
#pragma once

#include "restore/restore.h"

/*
 * Run RESTORE in a fresh pid and mount namespace with a /proc of its own, below
 * an init that lives as long as anybody in it. Arguments and result are those of
 * restore_run(), which cannot know where it runs.
 */
int pidns_run(struct restore_options *opt, int *ret_status,
              int (*restore)(const struct restore_options *opt, int *ret_status));
