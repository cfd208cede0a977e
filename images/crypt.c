/*
 * Sealing and opening chunks. A chunk goes out when more bytes come, as only
 * then it is known that it is not the last one.
 */
#include "images/crypt.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "images/format.h"
#include "lib/cleanup.h"
#include "lib/log.h"

static int derive(const struct image_keys *keys, const struct crypt_header *h, const char *info,
                  uint8_t key[CRYPTO_KEY])
{
	struct crypt_header salt = *h;

	salt.edition = 0;
	return crypto_derive(keys->crypto, keys->crypt, &salt, CRYPT_SALT, info, key);
}

static int check_of(const struct image_keys *keys, const struct crypt_header *h,
                    uint8_t key[CRYPTO_KEY])
{
	return derive(keys, h, "crtool key check", key);
}

int crypt_header_new(const struct image_keys *keys, struct crypt_header *ret)
{
	uint8_t check[CRYPTO_KEY];
	int r;

	*ret = (struct crypt_header){
		.magic = CRYPT_MAGIC,
		.version = CRYPT_VERSION,
		.cipher = CRYPT_AES_GCM,
	};
	if (getrandom(ret->random, sizeof(ret->random), 0) != sizeof(ret->random))
		return -EIO;
	r = check_of(keys, ret, check);
	memcpy(ret->check, check, sizeof(ret->check));
	return r;
}

int crypt_header_again(struct crypt_header *h)
{
	uint16_t before = h->edition;

	while (!h->edition || h->edition == before)
		if (getrandom(&h->edition, sizeof(h->edition), 0) != sizeof(h->edition))
			return -EIO;
	return 0;
}

int crypt_key_check(const struct image_keys *keys, const struct crypt_header *h)
{
	uint8_t check[CRYPTO_KEY];
	int r = check_of(keys, h, check);

	if (r == 0 && memcmp(check, h->check, sizeof(h->check)) != 0)
		return -EBADMSG;
	return r;
}

struct aead *crypt_aead(const struct image_keys *keys, const struct crypt_header *h,
                        const char *name)
{
	uint8_t key[CRYPTO_KEY];
	struct aead *aead = NULL;
	char info[64];

	if (h->edition && !strcmp(name, MANIFEST_FILE))
		snprintf(info, sizeof(info), "crtool file %s %u", name, h->edition);
	else
		snprintf(info, sizeof(info), "crtool file %s", name);
	if (derive(keys, h, info, key) == 0)
		aead = aead_new(keys->crypto, key);
	crypto_wipe(key, sizeof(key));
	return aead;
}

/* Little endian, as all numbers. */
static void nonce_of(uint64_t number, bool last, uint8_t ret[CRYPTO_NONCE])
{
	memset(ret, 0, CRYPTO_NONCE);
	memcpy(ret, &number, sizeof(number));
	ret[sizeof(number)] = last;
}

/* ---- sealing ---- */

struct crypt_sink {
	struct sink sink;
	struct aead *aead;
	uint64_t number; /* of the next chunk */
	size_t have;
	uint8_t held[CRYPT_PLAIN], sealed[CRYPT_CHUNK];
};

static int seal_to(struct aead *aead, uint64_t number, bool last, const void *data, size_t size,
                   uint8_t *out)
{
	uint8_t nonce[CRYPTO_NONCE];
	int r;

	nonce_of(number, last, nonce);
	r = aead_seal(aead, nonce, data, size, out);
	return r < 0 ? fail(r, "encrypt a chunk of %zu bytes", size) : 0;
}

static int chunk_seal(struct crypt_sink *s, const void *data, size_t size, bool last)
{
	int r = seal_to(s->aead, s->number++, last, data, size, s->sealed);

	if (r < 0)
		return r;
	return s->sink.next->write(s->sink.next, s->sealed, size + CRYPTO_TAG);
}

static int crypt_write(struct sink *sink, const void *data, size_t size)
{
	struct crypt_sink *s = (struct crypt_sink *)sink;
	const uint8_t *p = data;

	while (size) {
		size_t room = CRYPT_PLAIN - s->have, n = size < room ? size : room;
		int r = 0;

		if (!room) {
			r = chunk_seal(s, s->held, CRYPT_PLAIN, false);
			s->have = 0;
		} else if (!s->have && size > CRYPT_PLAIN) {
			r = chunk_seal(s, p, CRYPT_PLAIN, false);
			p += CRYPT_PLAIN, size -= CRYPT_PLAIN;
		} else {
			memcpy(s->held + s->have, p, n);
			s->have += n, p += n, size -= n;
		}
		if (r < 0)
			return r;
	}
	return 0;
}

static int crypt_end(struct sink *sink)
{
	struct crypt_sink *s = (struct crypt_sink *)sink;
	int r = chunk_seal(s, s->held, s->have, true);

	return r < 0 ? r : s->sink.next->end(s->sink.next);
}

static void crypt_sink_free(struct sink *sink)
{
	struct crypt_sink *s = (struct crypt_sink *)sink;

	aead_free(s->aead);
	crypto_wipe(s->held, sizeof(s->held));
	free(s);
}

int crypt_sink_new(struct aead *aead, struct sink *next, struct sink **ret)
{
	struct crypt_sink *s = aead ? calloc(1, sizeof(*s)) : NULL;

	if (!s) {
		aead_free(aead);
		return -ENOMEM;
	}
	s->sink = (struct sink){ crypt_write, crypt_end, crypt_sink_free, next };
	s->aead = aead;
	*ret = &s->sink;
	return 0;
}

size_t crypt_sealed_size(size_t size)
{
	return size + (size ? (size - 1) / CRYPT_PLAIN + 1 : 1) * CRYPTO_TAG;
}

int crypt_seal_all(struct aead *aead, const uint8_t *data, size_t size, uint8_t *out)
{
	uint64_t number = 0;
	bool last;

	do {
		size_t n = size < CRYPT_PLAIN ? size : CRYPT_PLAIN;
		int r;

		last = n == size;
		r = seal_to(aead, number++, last, data, n, out);
		if (r < 0)
			return r;
		data += n, out += n + CRYPTO_TAG, size -= n;
	} while (!last);
	return 0;
}

/* ---- opening ---- */

int crypt_plain_size(uint64_t size, uint64_t *ret)
{
	uint64_t whole = size / CRYPT_CHUNK, rest = size % CRYPT_CHUNK;

	/* Only an empty file has an empty chunk, and that is the only one. */
	if (rest ? rest < CRYPTO_TAG || (rest == CRYPTO_TAG && whole) : !whole)
		return -EBADMSG;
	*ret = size - (whole + (rest != 0)) * CRYPTO_TAG;
	return 0;
}

int crypt_open(struct aead *aead, uint64_t number, bool last, const uint8_t *data, size_t size,
               uint8_t *out)
{
	uint8_t nonce[CRYPTO_NONCE];

	nonce_of(number, last, nonce);
	return aead_open(aead, nonce, data, size, out);
}

int crypt_open_all(struct aead *aead, uint8_t *data, uint64_t size)
{
	auto_free uint8_t *plain = malloc(CRYPT_CHUNK);
	uint8_t *to = data;
	uint64_t number = 0;

	if (!plain)
		return -ENOMEM;
	for (const uint8_t *from = data; size;) {
		size_t n = size < CRYPT_CHUNK ? (size_t)size : CRYPT_CHUNK;
		int r = crypt_open(aead, number++, n == size, from, n, plain);

		if (r < 0)
			return r;
		memcpy(to, plain, n - CRYPTO_TAG);
		to += n - CRYPTO_TAG, from += n, size -= n;
	}
	return 0;
}
