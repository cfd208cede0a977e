/* Pages that move when the tree runs on the other side already (channel.h). */
#pragma once

#include "dump/later.h"
#include "migrate/channel.h"
#include "restore/far.h"

#define PIECE_MAX (256u << 10)

/* The text of WANT and PIECE; behind that of a PIECE come its SIZE bytes. */
struct piece {
	uint32_t file, size;
	uint64_t offset;
	uint64_t hash; /* of a PIECE: XXH3 64 of the bytes */
};

/* The receiver's end: RET->arg is allocated, for taker_free(). -ENOMEM. */
struct taker;
int taker_new(const struct channel *c, struct far *ret);
void taker_free(struct far *far);

/*
 * The sender's end, when the last stream is out and until all is there: the tree stands still, and L
 * has its pages. Told when it is READY (before GO) and RUNNING; -errno, explained. *RET_TOLD: the
 * receiver says why, and nothing runs there.
 */
struct giver {
	const struct channel *channel;
	const struct later *later;
	unsigned timeout_ms;
	int (*ready)(void *arg);
	int (*running)(void *arg, uint64_t pid);
	void *arg;
};
int give_all(const struct giver *g, bool *ret_told);
