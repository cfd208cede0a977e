/*
 * landlock(7): no kernel shows the sandbox of a task, but a domain has 16 layers at most, and
 * those that are free can be counted: by a thread of the task that puts itself into one layer after
 * the other until there is no room, and ends.
 */
#pragma once

#include "dump/dump.h"

enum landlock {
	LANDLOCK_FREE,    /* it is in no sandbox */
	LANDLOCK_IN,      /* it is in one */
	LANDLOCK_UNKNOWN, /* it could not be asked */
};

/*
 * Append the count to the script S of the leader TH. *RET_AT: where the answer will be, 0: it is not
 * asked. Explained.
 */
int landlock_ask(struct dump *d, struct thread *th, struct script *s, uint64_t *ret_at);

/* What was found; *RET_LAYERS with LANDLOCK_IN. */
enum landlock landlock_answer(const struct script *s, uint64_t at, unsigned *ret_layers);
