/*
 * The tracker: a process of crtool's own that holds the descriptors of userfaultfd
 * between two dumps, and does nothing else. Registered memory stays so while one of them
 * is open; in the descriptor table of the program it would be seen. It ends with the last process
 * that it is for. If it is killed, the kernel forgets what was written to, and the next dump
 * finds that nothing is tracked and stores all memory.
 *
 * Which processes it is for, and which checkpoint their tracking is relative to, is in
 * a table, memory that the next crtool takes over together with the descriptors.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "images/images.h"

/* An address space that is tracked. */
struct tracker_slot {
	uint64_t starttime; /* of the process: field 22 of stat */
	int32_t pid;
	uint32_t taken; /* another tracker holds it now */
	uint8_t id
		[CHAIN_ID]; /* of the checkpoint after which the tracking began anew; zeros: of none */
	uint64_t soft;      /* it has no userfaultfd: soft-dirty marks tell */
};

/* One that was found, or is to be. */
struct tracker {
	pid_t pid;
	int pidfd, table;
	ARRAY(struct tracker_slot) slots;
};

struct trackers {
	ARRAY(struct tracker) all;
};

/* Find those of our user. -errno. */
int trackers_find(struct trackers *ret);
void trackers_done(struct trackers *t);

/* A descriptor of slot SLOT's userfaultfd, or -errno. */
int tracker_uffd(const struct tracker *t, size_t slot);

/* Write slot SLOT as it is now; the tracker ends when all are taken. -errno. */
int tracker_update(const struct tracker *t, size_t slot);

/* Start one for N slots: their userfaultfds and processes, whose descriptors stay the caller's. -errno. */
int tracker_start(const struct tracker_slot *slots, const int *uffds, const int *pidfds, size_t n);
