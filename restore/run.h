/* The barriers of a restore, in order. */
#pragma once

#include "restore/restore.h"

enum barrier {
	BARRIER_TREE,    /* all processes exist */
	BARRIER_GROUPS,  /* all are in their process groups; zombies and helpers end */
	BARRIER_LAZY,    /* memory is there, or will be: the coordinator takes what brings it */
	BARRIER_BUILT,   /* memory and descriptors are there, also for those who share them */
	BARRIER_THREADS, /* all threads exist */
	BARRIER_SEIZE,   /* the coordinator seizes all of them */
	BARRIER_END,     /* never opened: here they become the targets */
};

/* In the script S: wait there for all others who do (compile.c). */
void emit_barrier(struct restore *r, struct script *s, enum barrier n);
