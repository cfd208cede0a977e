#include "dump/ring_shape.h"

#include "lib/cleanup.h"
#include "lib/log.h"

/* Is any byte from AT to END set? */
static bool any_set(const uint8_t *at, const uint8_t *end)
{
	while (at < end && !*at)
		at++;
	return at < end;
}

/* Before Linux 6.6 all have an array. */
static bool can_be_without(void)
{
	auto_(uring_done) struct uring u = URING_NONE;

	return uring_make(&u, 1, 2, IORING_SETUP_NO_SQARRAY) == 0;
}

/*
 * Has it an array of indexes? It shows in the size, or else in what is there: who
 * has one writes into it, but for one that has always used its first request. The array of a
 * ring that nobody has used yet will be the usual one: then it does not matter. One that was used
 * once can be either: to who takes requests by turns both are the same.
 */
bool ring_has_array(const struct file *f, const struct uring *u, uint64_t requests)
{
	size_t without = uring_ring_size(u, false), with = uring_ring_size(u, true);

	if (pages_of(with) != pages_of(without))
		return u->ring_pages == pages_of(with);
	if (any_set(u->ring + without, u->ring + with) || !can_be_without())
		return true;
	if (requests == 1)
		lose("%s: whether it has an array of indexes, which cannot be told of a ring that "
		     "was "
		     "used once; it is taken for one without (IORING_SETUP_NO_SQARRAY)",
		     file_name(f));
	return requests > 1 &&
	       !any_set(u->sqes + sizeof(struct io_uring_sqe), u->sqes + uring_sqes_size(u));
}

/* Larger entries show in the size of the regions, or in what is behind the smaller ones. */
bool ring_is_plain(const struct uring *u, bool array)
{
	size_t sqes = uring_sqes_size(u), pages = pages_of(sqes);

	return u->ring_pages == pages_of(uring_ring_size(u, array)) && u->sqes_pages == pages &&
	       !any_set(u->sqes + sqes, u->sqes + pages * 4096);
}
