/*
 * What a restore makes outside of the tree, and what must not be left of it: noted before it is made. If the
 * restore fails, what is still noted is taken away; should crtool be killed, a process that outlives it does so.
 */
#pragma once

#include "restore/restore.h"

enum leftover {
	LEFT_NAME,  /* of a file that is no directory */
	LEFT_DIR,   /* if it is empty */
	LEFT_GROUP, /* of cgroups, when it is empty */
	LEFT_QUEUE, /* of POSIX messages, its name without the slash */
	LEFT_SHM,
	LEFT_SEM,
	LEFT_MSG,
};

/*
 * NAME, or the object ID, is about to be made. Nothing is ever done to what is there already, nor to what is older
 * than that. The place for leftover_forget(), or -errno.
 */
int leftover_expect(struct restore *r, enum leftover what, const char *name, int id);

/* What was noted at PLACE and after that is gone, or was not made. */
void leftover_forget(struct restore *r, int place);

/* All of it stays: the tree runs. */
void leftover_keep(struct restore *r);
void leftover_done(struct restore *r);

/*
 * Of a restore in a pid namespace of its own (pidns.c), which dies with whom it concerns: notes that are made
 * there, and who outlives crtool out here. *RET_INIT: where the pid of its init is to be when that begins
 * to run; should crtool be killed it is ended first. -errno, explained.
 */
int leftovers_outside(struct leftovers **ret, pid_t **ret_init);
/* The tree runs, and so does its init without us; or nobody is left there. NULL is fine. */
void leftovers_outside_end(struct leftovers *l, bool runs);
