/* Which tasks share memory, descriptors ... as clone(2) without CLONE_THREAD makes them. */
#pragma once

#include "dump/dump.h"

/*
 * Fill shares[] of all tasks: for each table the first task that has it. With
 * d->frozen their mappings and descriptors must have been read; -errno, explained.
 */
int tables_find(struct dump *d);

/* Refuse what no restore could make again, naming both. */
int tables_check(struct dump *d, const struct task *t);
