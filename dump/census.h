/*
 * Who lives on this system: a cheap answer to "has any thread of this tree
 * forked meanwhile?" where asking every thread for its children would cost three
 * system calls each.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/array.h"

/* A process as /proc lists it; a reused pid has another inode number there. */
struct inhabitant {
	pid_t pid;
	uint64_t ino;
};

struct census {
	ARRAY(struct inhabitant) all; /* sorted */
};

/* Count again; what was known before is forgotten. -errno. */
int census_take(struct census *c);
bool census_knows(const struct census *c, const struct inhabitant *who);
void census_done(struct census *c);
