/*
 * Checksums of page files that are made by the tasks that read them, so that nothing is read twice (images/pieces.h):
 * each thread makes those of the pieces that it reads from their first byte to their last. They are judged when all
 * tasks have read and none has gone on.
 */
#pragma once

#include "images/pieces.h"
#include "restore/restore.h"

struct reader; /* a thread that makes checksums */

/* One that runs S and makes at most MOST of them. NULL: out of memory, which S has noted if it was the arena's. */
struct reader *reader_new(struct restore *r, struct script *s, size_t most);

/* It makes that one next, SIZE bytes: what adds to it is given this address (struct mover_sum). */
uint64_t reader_begin(struct reader *rd, struct piece_sum *sum);
/* Its last byte, the SIZEth, has been added. */
void reader_end(struct reader *rd, uint64_t size, struct script *s);

/* Add SIZE bytes at AT in the task. */
void reader_add(uint64_t sum, uint64_t at, uint64_t size, struct script *s);

/* The scripts will not run: nobody makes any. */
void readers_forget(struct restore *r);

/* The coordinator, when all have read: judge them, and the files that waited for them. -EBADMSG, explained. */
int readers_judge(struct restore *r);
void readers_done(struct restore *r);
