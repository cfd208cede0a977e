/*
 * Long runs of pages, put in place: userfaultfd(2) copies into a new page, where a task that reads has
 * it cleared first.
 */
#pragma once

#include "restore/memory.h"

struct place {
	ARRAY(struct range) ranges; /* mappings in which long runs are put in place, by address */
	uint8_t *files;             /* which page files, by index */
	int uffd;                   /* its number in the task */
};

/* Room in the arena for what follows, of all tasks. */
size_t placed_arena(const struct restore *r);

/* Choose the mappings of T; where this does not work or pay there are none. */
int place_plan(struct restore *r, const struct rtask *t, const Img__Memory *m, const uint8_t *marks,
               struct place *ret);
void place_done(struct place *p);

/* Of a run in FILE: how much is to be treated alike; *RET_PLACED: put in place, not read. P may be NULL. */
uint64_t place_alike(const struct place *p, uint32_t file, uint64_t start, uint64_t size,
                     bool *ret_placed);

/*
 * Between begin and end nobody reads anything into these mappings. THREAD, of less than FILLERS, has its own
 * window on the page files. SUM: 0, or that to which what is placed is added (memory_sums.h).
 */
void place_begin(const struct place *p, struct script *s);
void place_run(const struct restore *r, const struct place *p, unsigned thread, uint32_t file,
               const struct page_run *run, uint64_t sum, struct script *s);
void place_end(const struct place *p, struct script *s);
