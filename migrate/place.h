/* Where a receiver keeps what comes in. */
#pragma once

/*
 * A fresh directory in DIR, in a fresh string, locked with flock(2) by *RET_LOCK: whoever is killed leaves his
 * unlocked, and the next one removes it. -errno, explained.
 */
int place_new(const char *dir, char **ret_path, int *ret_lock);

/* It is gone, with all that is in it. */
void place_remove(const char *path);
