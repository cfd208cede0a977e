/* images/hash.h */
#include "images/hash.h"

#include "unit.h"

static uint8_t data[3 * HASH_PIECE / 2];

static uint64_t hash_in_steps(size_t size, size_t step)
{
	struct file_hash h;
	uint64_t hash;

	check(!file_hash_init(&h, NULL));
	for (size_t at = 0; at < size; at += step)
		file_hash_update(&h, data + at, size - at < step ? size - at : step);
	hash = file_hash_digest(&h);
	file_hash_done(&h);
	return hash;
}

TEST(a_file_is_hashed_by_its_pieces)
{
	uint64_t pieces[2];

	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 7 + i / 4096);
	pieces[0] = XXH3_64bits(data, HASH_PIECE);
	pieces[1] = XXH3_64bits(data + HASH_PIECE, HASH_PIECE / 2);
	check(hash_in_steps(sizeof(data), sizeof(data)) == pieces_hash(pieces, 2));
	check(hash_in_steps(sizeof(data), 100000) == pieces_hash(pieces, 2));
	check(hash_in_steps(HASH_PIECE, 4096) == pieces_hash(pieces, 1));
	check(hash_in_steps(0, 1) == pieces_hash(NULL, 0));
}

/* On disk for ever: the numbers of XXH3's own test vectors. */
TEST(the_function_is_xxh3)
{
	check(XXH3_64bits("", 0) == UINT64_C(0x2d06800538d394c2));
	check(pieces_hash(NULL, 0) == UINT64_C(0x2d06800538d394c2));
}
