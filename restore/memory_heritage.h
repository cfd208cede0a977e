/*
 * Memory that forked processes share: it is filled before they are forked,
 * in the process that all of them descend from, and inherited.
 */
#pragma once

#include "restore/memory.h"

/* A mapping that is inherited: private, readable and writable. */
struct heritage_vma {
	uint64_t start, end;
	const Img__Vma *like; /* a mapping of a task, elsewhere maybe */
	bool is_new;          /* this heritage maps it */
};

/* What a process has in its address space when it forks, besides the arena. */
struct heritage {
	struct rtask *owner;             /* whose script makes it */
	struct heritage *base;           /* what the owner has inherited itself, or NULL */
	ARRAY(struct heritage_vma) vmas; /* all, by address */
	struct sources pages;            /* all, by address */
	struct sources fresh;            /* those that the owner reads */
	struct heritage *next;
};

/* Plan all heritages: sets the heritage of each task and helper. Records have been checked. */
int heritage_plan(struct restore *r);
void heritage_done(struct restore *r);

/* The calls that make the heritage of T, if that is its work: before it forks. */
int heritage_emit(struct restore *r, struct rtask *t, struct script *s);

/* Arena that tasks need for what is inherited. */
size_t heritage_arena(const struct restore *r);

/* Can memory of V be inherited at all? */
bool heritage_takes(const Img__Vma *v);
/* Would A and B, if they were one mapping, be the same? */
bool heritage_same(const Img__Vma *a, uint64_t a_start, const Img__Vma *b, uint64_t b_start);

/* What T keeps of its heritage; MARKS of mappings that are kept get MARK_KEPT (memory_keep.c). */
int keep_plan(struct restore *r, struct rtask *t, const Img__Memory *m, uint8_t *marks,
              struct keep *ret);
void keep_done(struct keep *k);

/* Add what T has of its pages to LIST, by address. -ENOMEM. */
int sources_of(const struct restore *r, const struct rtask *t, struct sources *list);
