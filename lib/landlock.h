/* landlock(7), as far as no header of the kernel tells. */
#pragma once

#include <linux/landlock.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LANDLOCK_LAYERS 16 /* LANDLOCK_MAX_NUM_LAYERS */

static inline bool has_landlock(void)
{
	return syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION) > 0;
}
