/* The barriers of a restore, in order. */
#pragma once

enum barrier {
	BARRIER_THREADS, /* all tasks and threads exist */
	BARRIER_SEIZE,   /* the coordinator seizes all of them */
	BARRIER_END,     /* never opened: here they become the targets */
};
