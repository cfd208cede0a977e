/*
 * Pages that are put in place: userfaultfd(2) copies into a new page, where a task that reads has it cleared first.
 * Pieces of page files (HASH_PIECE) are treated as a whole, so that who puts one in place, or reads it, has all of it
 * in order and makes its checksum on the way.
 */
#pragma once

#include "restore/memory.h"

/* What of a piece lies in the mappings that are chosen. */
struct place_piece {
	uint64_t bytes; /* of long runs */
	size_t alone;   /* short runs */
};

struct place {
	ARRAY(struct range) ranges;  /* mappings in which pages are put in place, by address */
	struct place_piece **pieces; /* of each page file; NULL: none of it is put in place */
	size_t nfiles;
	bool any; /* piece is */
	int uffd; /* its number in the task */
};

/* What a thread that puts in place has mapped of the page files. */
struct window {
	uint32_t file;
	uint64_t start, end; /* in the file; the same: nothing yet */
};

/* Room in the arena for what follows, of all tasks. */
size_t placed_arena(const struct restore *r);

/* Choose the mappings of T; where this does not work or pay there are none. */
int place_plan(struct restore *r, const struct rtask *t, const Img__Memory *m, const uint8_t *marks,
               struct place *ret);
void place_done(struct place *p);

/*
 * Of a run in FILE: how much is to be treated alike; *RET_PLACED: while pieces are put in place, else after that. P may
 * be NULL.
 */
uint64_t place_alike(const struct place *p, uint32_t file, const struct page_run *run,
                     bool *ret_placed);
/* Such a run: is it put in place? All else of such a piece is read just then. */
bool place_takes(const struct place *p, uint64_t start);

/*
 * Between begin and end nobody reads anything into these mappings. THREAD, of less than FILLERS, has its own
 * WINDOW. SUM: 0, or that to which what is placed is added (memory_sums.h).
 */
void place_begin(const struct place *p, struct script *s);
void place_run(const struct restore *r, const struct place *p, unsigned thread,
               struct window *window, uint32_t file, const struct page_run *run, uint64_t sum,
               struct script *s);
void place_end(const struct place *p, struct script *s);
