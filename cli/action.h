/* --action-script: commands of the user's at certain moments of a dump or restore. */
#pragma once

#include <sys/types.h>

#include "lib/array.h"

struct actions {
	struct words commands;
	const char *dir; /* of the images */
};

/*
 * Run all commands, told that this is MOMENT and the root of the tree is ROOT (0: there is none yet).
 * ARG: struct actions. -ECANCELED: one has failed, -errno, explained.
 */
int action_run(void *arg, const char *moment, pid_t root);
