#include "images/hash.h"

#include <errno.h>

int file_hash_init(struct file_hash *h)
{
	*h = (struct file_hash){ XXH3_createState(), XXH3_createState(), 0 };
	if (!h->piece || !h->pieces || XXH3_64bits_reset(h->piece) != XXH_OK ||
	    XXH3_64bits_reset(h->pieces) != XXH_OK)
		return -ENOMEM;
	return 0;
}

void file_hash_done(struct file_hash *h)
{
	XXH3_freeState(h->piece);
	XXH3_freeState(h->pieces);
	*h = (struct file_hash){};
}

static void piece_end(struct file_hash *h)
{
	uint64_t hash = XXH3_64bits_digest(h->piece);

	XXH3_64bits_update(h->pieces, &hash, sizeof(hash));
	XXH3_64bits_reset(h->piece);
	h->filled = 0;
}

void file_hash_update(struct file_hash *h, const void *data, size_t size)
{
	const uint8_t *p = data;

	while (size) {
		size_t room = (size_t)(HASH_PIECE - h->filled);
		size_t n = size < room ? size : room;

		XXH3_64bits_update(h->piece, p, n);
		h->filled += n;
		p += n;
		size -= n;
		if (h->filled == HASH_PIECE)
			piece_end(h);
	}
}

uint64_t file_hash_digest(struct file_hash *h)
{
	if (h->filled)
		piece_end(h);
	return XXH3_64bits_digest(h->pieces);
}

uint64_t pieces_hash(const uint64_t *pieces, size_t n)
{
	return XXH3_64bits(pieces, n * sizeof(*pieces));
}
