/* Pages of an increment that its parent has: what was not written to since (dump/track.h). */
#pragma once

#include "dump/pages_share.h"

struct kept {
	struct kept_task {
		ARRAY(struct stored) list; /* by address, all of them of the parent */
	} * tasks;                         /* by index; NULL: there is no parent */
	size_t n;
};

/* Look for them, among the pages that are due; not among those that are shared. */
int kept_find(struct dump *d, const struct shares *shares, struct kept *ret);
void kept_done(struct kept *k);

/* Write their records, and tell those who share them where they are. */
int kept_put(const struct kept *k, struct dump *d, struct shares *shares);
