/* Which tasks share memory, descriptors ... as clone(2) without CLONE_THREAD makes them. */
#pragma once

#include "dump/dump.h"

/*
 * Fill shares[] of all tasks: for each table the first task that has it. With
 * d->frozen their mappings and descriptors must have been read; -errno, explained.
 */
int tables_find(struct dump *d);

/* The order in which the kernel keeps that table of two threads: 0, the same one; -1, 1. -errno. */
int table_compare(pid_t a, pid_t b, enum table table, int *ret_order);

/* share_bare.c: has thread TID any of that, which a task may be without? 1, 0, -errno. */
int table_has(struct dump *d, pid_t tid, enum table table);

/*
 * share_threads.c: which threads share with their leader what threads need not (clone(2)). Of those
 * that are known before the freeze this is asked then: only who is new is asked again. Explained.
 */
int tables_compare_threads(struct dump *d);

/* Refuse what no restore could make again, naming both. */
int tables_check(struct dump *d, const struct task *t);
