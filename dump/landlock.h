/*
 * landlock(7): no kernel shows the sandbox of a task, but who is in one has no access to somebody
 * outside of it (outsider.h). And a domain has 16 layers at most, those that are free can be
 * counted: by a thread of the task that puts itself into one layer after the other until there
 * is no room, and ends.
 */
#pragma once

#include "dump/dump.h"

enum landlock {
	LANDLOCK_FREE,    /* it is in no sandbox */
	LANDLOCK_IN,      /* it is in one */
	LANDLOCK_UNKNOWN, /* it could not be asked */
};

/*
 * Append to the script S of TH what tells it; of a leader, and only if it is in one, layers are
 * counted, too. *RET_AT: where the count will be, 0: nowhere. Explained.
 */
int landlock_ask(struct dump *d, struct thread *th, struct script *s, uint64_t *ret_at);

/* What was found by the ops from FIRST on; *RET_LAYERS with LANDLOCK_IN. */
enum landlock landlock_answer(const struct script *s, size_t first, uint64_t at,
                              unsigned *ret_layers);
