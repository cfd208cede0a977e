#include "images/hash.h"

#include <errno.h>

/* A piece cannot be taken for a list of pieces. */
static void digest_start_with(struct digest *d, uint8_t first)
{
	digest_start(d);
	digest_add(d, &first, sizeof(first));
}

void piece_digest_start(struct digest *d)
{
	digest_start_with(d, 0);
}

int pieces_digest(struct digest *d, const uint8_t (*pieces)[CRYPTO_DIGEST], size_t n,
                  uint8_t ret[CRYPTO_DIGEST])
{
	digest_start_with(d, 1);
	digest_add(d, pieces, n * sizeof(*pieces));
	return digest_end(d, ret);
}

static int digests_init(struct file_hash *h, const struct crypto *crypto)
{
	h->piece_digest = digest_new(crypto);
	h->pieces_digest = digest_new(crypto);
	if (!h->piece_digest || !h->pieces_digest)
		return -ENOMEM;
	digest_start_with(h->piece_digest, 0);
	digest_start_with(h->pieces_digest, 1);
	return 0;
}

int file_hash_init(struct file_hash *h, const struct crypto *crypto)
{
	*h = (struct file_hash){ XXH3_createState(), XXH3_createState(), NULL, NULL, 0, 0 };
	if (!h->piece || !h->pieces || XXH3_64bits_reset(h->piece) != XXH_OK ||
	    XXH3_64bits_reset(h->pieces) != XXH_OK)
		return -ENOMEM;
	return crypto ? digests_init(h, crypto) : 0;
}

void file_hash_done(struct file_hash *h)
{
	XXH3_freeState(h->piece);
	XXH3_freeState(h->pieces);
	digest_free(h->piece_digest);
	digest_free(h->pieces_digest);
	*h = (struct file_hash){};
}

static void piece_end(struct file_hash *h)
{
	uint64_t hash = XXH3_64bits_digest(h->piece);
	uint8_t digest[CRYPTO_DIGEST];

	XXH3_64bits_update(h->pieces, &hash, sizeof(hash));
	XXH3_64bits_reset(h->piece);
	h->filled = 0;
	if (!h->piece_digest)
		return;
	if (digest_end(h->piece_digest, digest) < 0)
		h->error = -EIO;
	digest_add(h->pieces_digest, digest, sizeof(digest));
	digest_start_with(h->piece_digest, 0);
}

void file_hash_update(struct file_hash *h, const void *data, size_t size)
{
	const uint8_t *p = data;

	while (size) {
		size_t room = (size_t)(HASH_PIECE - h->filled);
		size_t n = size < room ? size : room;

		XXH3_64bits_update(h->piece, p, n);
		if (h->piece_digest)
			digest_add(h->piece_digest, p, n);
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

int file_hash_sha256(struct file_hash *h, uint8_t ret[CRYPTO_DIGEST])
{
	int r = digest_end(h->pieces_digest, ret);

	return h->error < 0 ? h->error : r;
}

uint64_t pieces_hash(const uint64_t *pieces, size_t n)
{
	return XXH3_64bits(pieces, n * sizeof(*pieces));
}
