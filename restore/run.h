/* The barriers of a restore, in order. */
#pragma once

enum barrier {
	BARRIER_TREE,    /* all processes exist */
	BARRIER_GROUPS,  /* all are in their process groups; zombies and helpers end */
	BARRIER_THREADS, /* all threads exist */
	BARRIER_SEIZE,   /* the coordinator seizes all of them */
	BARRIER_END,     /* never opened: here they become the targets */
};
