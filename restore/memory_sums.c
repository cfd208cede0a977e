#include "restore/memory_sums.h"

#include <errno.h>
#include <stdlib.h>

#include "images/hash.h"
#include "lib/log.h"
#include "parasite/mover.h"

struct reader {
	uint64_t state, hashes; /* in the arena: struct mover_sum, where it puts them */
	ARRAY(struct piece_sum *) sums;
};

struct reader *reader_new(struct restore *r, struct script *s, size_t most)
{
	struct reader *rd = calloc(1, sizeof(*rd)), **at = rd ? array_add(&r->readers) : NULL;
	struct mover_sum *state;
	uint64_t room;

	if (!at) {
		free(rd);
		return NULL;
	}
	*at = rd;
	room = script_alloc(s, sizeof(*state) + _Alignof(struct mover_sum));
	rd->state = (room + _Alignof(struct mover_sum) - 1) & ~(_Alignof(struct mover_sum) - 1);
	rd->hashes = script_alloc(s, most * sizeof(uint64_t));
	if (!room || !rd->hashes)
		return NULL;
	state = script_at(s, rd->state);
	state->hashes = rd->hashes;
	return rd;
}

uint64_t reader_begin(struct reader *rd, struct piece_sum *sum)
{
	struct piece_sum **at = array_add(&rd->sums);

	if (!at)
		return 0;
	*at = sum;
	sum->state = PIECE_AWAITED;
	return rd->state;
}

void reader_add(uint64_t sum, uint64_t at, uint64_t size, struct script *s)
{
	const struct iovec iov = { (void *)at, size };

	script_op(s, OP_MOVER, EXPECT_SUCCESS, 0, 0,
	          (const uint64_t[6]){ arena_mover(s->arena, MOVER_SUM), sum,
	                               script_put(s, &iov, sizeof(iov)), 1 });
}

/* The mover knows by itself where a whole piece ends. */
void reader_end(struct reader *rd, uint64_t size, struct script *s)
{
	if (size < HASH_PIECE)
		script_op(s, OP_MOVER, EXPECT_SUCCESS, 0, 0,
		          (const uint64_t[6]){ arena_mover(s->arena, MOVER_SUM), rd->state });
}

void readers_forget(struct restore *r)
{
	array_each (rd, &r->readers)
		array_each (sum, &(*rd)->sums)
			(*sum)->state = PIECE_LEFT;
}

static int collect(const struct restore *r, const struct reader *rd)
{
	const struct mover_sum *state = arena_at(&r->arena, rd->state);
	const uint64_t *hashes = arena_at(&r->arena, rd->hashes);

	if (state->n != rd->sums.n)
		return fail(-EPROTO, "a task has read %zu pieces of page files instead of %zu",
		            (size_t)state->n, rd->sums.n);
	for (size_t i = 0; i < rd->sums.n; i++)
		*rd->sums.v[i] = (struct piece_sum){ hashes[i], PIECE_MADE };
	return 0;
}

int readers_judge(struct restore *r)
{
	size_t n = 0;

	array_each (rd, &r->readers) {
		int e = collect(r, *rd);

		if (e < 0)
			return e;
		n += (*rd)->sums.n;
	}
	if (!n)
		return 0;
	debug("%zu pieces of page files were verified by the tasks that read them", n);
	return images_verify_late(r->images);
}

void readers_done(struct restore *r)
{
	array_each (rd, &r->readers) {
		array_done(&(*rd)->sums);
		free(*rd);
	}
	array_done(&r->readers);
}
