/*
 * libcrypto by dlopen(3). Its functions are declared by its own headers, so
 * that a call of the wrong shape does not compile.
 */
#include "lib/crypto.h"

#include <dlfcn.h>
#include <errno.h>
#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "lib/cleanup.h"

#define LIBRARY "libcrypto.so.3"

/* All that is used of it. */
#define FUNCTIONS(F)                    \
	F(OPENSSL_init_crypto)          \
	F(BIO_new_mem_buf)              \
	F(BIO_free)                     \
	F(PEM_read_bio_PrivateKey)      \
	F(PEM_read_bio_PUBKEY)          \
	F(EVP_PKEY_get_id)              \
	F(EVP_PKEY_get_raw_private_key) \
	F(EVP_PKEY_get_raw_public_key)  \
	F(EVP_PKEY_new_raw_private_key) \
	F(EVP_PKEY_new_raw_public_key)  \
	F(EVP_PKEY_free)                \
	F(EVP_MD_CTX_new)               \
	F(EVP_MD_CTX_free)              \
	F(EVP_DigestSignInit)           \
	F(EVP_DigestSign)               \
	F(EVP_DigestVerifyInit)         \
	F(EVP_DigestVerify)             \
	F(EVP_DigestInit_ex)            \
	F(EVP_DigestUpdate)             \
	F(EVP_DigestFinal_ex)           \
	F(EVP_sha256)                   \
	F(HMAC)                         \
	F(EVP_aes_256_gcm)              \
	F(EVP_CIPHER_CTX_new)           \
	F(EVP_CIPHER_CTX_free)          \
	F(EVP_CIPHER_CTX_ctrl)          \
	F(EVP_CipherInit_ex)            \
	F(EVP_CipherUpdate)             \
	F(EVP_CipherFinal_ex)

struct crypto {
	void *library;
#define DECLARE(name) __typeof__(name) *name;
	FUNCTIONS(DECLARE)
#undef DECLARE
};

static int symbols_find(struct crypto *c)
{
#define FIND(name)                                               \
	c->name = (__typeof__(c->name))dlsym(c->library, #name); \
	if (!c->name)                                            \
		return -ENOTSUP;
	FUNCTIONS(FIND)
#undef FIND
	return 0;
}

int crypto_load(struct crypto **ret)
{
	struct crypto *c = calloc(1, sizeof(*c));
	int r;

	if (!c)
		return -ENOMEM;
	c->library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
	r = c->library ? symbols_find(c) : -ENOTSUP;
	/* No file and no variable of the caller chooses an engine for us. */
	if (r == 0 &&
	    !c->OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG | OPENSSL_INIT_NO_ATEXIT, NULL))
		r = -ENOTSUP;
	if (r < 0) {
		crypto_free(c);
		return r;
	}
	*ret = c;
	return 0;
}

/* The library itself does not like to be unloaded. */
void crypto_free(struct crypto *c)
{
	free(c);
}

void crypto_wipe(void *data, size_t size)
{
	explicit_bzero(data, size);
}

/* ---- keys ---- */

/* Nobody is asked for a passphrase. */
static int no_passphrase(char *buf, int size, int rwflag, void *data)
{
	return -1;
}

static EVP_PKEY *pem_read(const struct crypto *c, const char *pem, size_t size, bool secret)
{
	BIO *bio = c->BIO_new_mem_buf(pem, (int)size);
	EVP_PKEY *key = NULL;

	if (bio && secret)
		key = c->PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL);
	else if (bio)
		key = c->PEM_read_bio_PUBKEY(bio, NULL, no_passphrase, NULL);
	c->BIO_free(bio);
	if (key && c->EVP_PKEY_get_id(key) == EVP_PKEY_ED25519)
		return key;
	c->EVP_PKEY_free(key);
	return NULL;
}

int crypto_pem_secret(const struct crypto *c, const char *pem, size_t size, uint8_t ret[CRYPTO_KEY])
{
	EVP_PKEY *key = pem_read(c, pem, size, true);
	size_t len = CRYPTO_KEY;
	int ok = key && c->EVP_PKEY_get_raw_private_key(key, ret, &len) == 1;

	c->EVP_PKEY_free(key);
	return ok && len == CRYPTO_KEY ? 0 : -EBADMSG;
}

int crypto_pem_public(const struct crypto *c, const char *pem, size_t size, uint8_t ret[CRYPTO_KEY])
{
	EVP_PKEY *key = pem_read(c, pem, size, false);
	size_t len = CRYPTO_KEY;
	int ok;

	if (!key)
		key = pem_read(c, pem, size, true);
	ok = key && c->EVP_PKEY_get_raw_public_key(key, ret, &len) == 1;
	c->EVP_PKEY_free(key);
	return ok && len == CRYPTO_KEY ? 0 : -EBADMSG;
}

static int hmac(const struct crypto *c, const void *key, size_t key_size, const void *data,
                size_t size, uint8_t ret[CRYPTO_DIGEST])
{
	return c->HMAC(c->EVP_sha256(), key, (int)key_size, data, size, ret, NULL) ? 0 : -EIO;
}

int crypto_derive(const struct crypto *c, const uint8_t key[CRYPTO_KEY], const void *salt,
                  size_t salt_size, const char *info, uint8_t ret[CRYPTO_KEY])
{
	size_t size = strlen(info);
	auto_free uint8_t *text = malloc(size + 1);
	uint8_t extracted[CRYPTO_DIGEST];
	int r;

	if (!text)
		return -ENOMEM;
	memcpy(text, info, size);
	text[size] = 1; /* number of the block */
	r = hmac(c, salt, salt_size, key, CRYPTO_KEY, extracted);
	if (r == 0)
		r = hmac(c, extracted, sizeof(extracted), text, size + 1, ret);
	crypto_wipe(extracted, sizeof(extracted));
	return r;
}

/* ---- signatures ---- */

int crypto_sign(const struct crypto *c, const uint8_t secret[CRYPTO_KEY], const void *data,
                size_t size, uint8_t ret[CRYPTO_SIGNATURE])
{
	EVP_PKEY *key = c->EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, secret, CRYPTO_KEY);
	EVP_MD_CTX *ctx = c->EVP_MD_CTX_new();
	size_t len = CRYPTO_SIGNATURE;
	int ok = key && ctx && c->EVP_DigestSignInit(ctx, NULL, NULL, NULL, key) == 1 &&
	         c->EVP_DigestSign(ctx, ret, &len, data, size) == 1;

	c->EVP_MD_CTX_free(ctx);
	c->EVP_PKEY_free(key);
	return ok && len == CRYPTO_SIGNATURE ? 0 : -EIO;
}

int crypto_verify(const struct crypto *c, const uint8_t public[CRYPTO_KEY], const void *data,
                  size_t size, const uint8_t signature[CRYPTO_SIGNATURE])
{
	EVP_PKEY *key = c->EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, public, CRYPTO_KEY);
	EVP_MD_CTX *ctx = c->EVP_MD_CTX_new();
	int r = -EIO;

	if (key && ctx && c->EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, key) == 1)
		r = c->EVP_DigestVerify(ctx, signature, CRYPTO_SIGNATURE, data, size) == 1
		            ? 0
		            : -EBADMSG;
	c->EVP_MD_CTX_free(ctx);
	c->EVP_PKEY_free(key);
	return r;
}

/* ---- SHA-256 ---- */

struct digest {
	const struct crypto *c;
	EVP_MD_CTX *ctx;
	bool bad;
};

struct digest *digest_new(const struct crypto *c)
{
	struct digest *d = calloc(1, sizeof(*d));

	if (!d)
		return NULL;
	d->c = c;
	d->ctx = c->EVP_MD_CTX_new();
	if (!d->ctx) {
		free(d);
		return NULL;
	}
	digest_start(d);
	return d;
}

void digest_free(struct digest *d)
{
	if (!d)
		return;
	d->c->EVP_MD_CTX_free(d->ctx);
	free(d);
}

void digest_start(struct digest *d)
{
	d->bad = d->c->EVP_DigestInit_ex(d->ctx, d->c->EVP_sha256(), NULL) != 1;
}

void digest_add(struct digest *d, const void *data, size_t size)
{
	d->bad |= d->c->EVP_DigestUpdate(d->ctx, data, size) != 1;
}

int digest_end(struct digest *d, uint8_t ret[CRYPTO_DIGEST])
{
	d->bad |= d->c->EVP_DigestFinal_ex(d->ctx, ret, NULL) != 1;
	return d->bad ? -EIO : 0;
}

/* ---- AES-256-GCM ---- */

/* The key schedule is made once, each chunk has a nonce of its own. */
struct aead {
	const struct crypto *c;
	EVP_CIPHER_CTX *ctx;
	uint8_t key[CRYPTO_KEY];
};

struct aead *aead_new(const struct crypto *c, const uint8_t key[CRYPTO_KEY])
{
	struct aead *a = calloc(1, sizeof(*a));

	if (!a)
		return NULL;
	a->c = c;
	memcpy(a->key, key, CRYPTO_KEY);
	a->ctx = c->EVP_CIPHER_CTX_new();
	if (!a->ctx) {
		aead_free(a);
		return NULL;
	}
	return a;
}

void aead_free(struct aead *a)
{
	if (!a)
		return;
	if (a->ctx)
		a->c->EVP_CIPHER_CTX_free(a->ctx); /* wipes its copy of the key */
	crypto_wipe(a, sizeof(*a));
	free(a);
}

static bool chunk_start(struct aead *a, const uint8_t *nonce, bool seal)
{
	return a->c->EVP_CipherInit_ex(a->ctx, a->c->EVP_aes_256_gcm(), NULL, a->key, nonce,
	                               seal) == 1;
}

int aead_seal(struct aead *a, const uint8_t nonce[CRYPTO_NONCE], const void *data, size_t size,
              uint8_t *out)
{
	int n = 0, rest = 0;
	bool ok = chunk_start(a, nonce, true) &&
	          (!size || a->c->EVP_CipherUpdate(a->ctx, out, &n, data, (int)size) == 1) &&
	          a->c->EVP_CipherFinal_ex(a->ctx, out + n, &rest) == 1 &&
	          a->c->EVP_CIPHER_CTX_ctrl(a->ctx, EVP_CTRL_AEAD_GET_TAG, CRYPTO_TAG,
	                                    out + size) == 1;

	return ok && (size_t)(n + rest) == size ? 0 : -EIO;
}

int aead_open(struct aead *a, const uint8_t nonce[CRYPTO_NONCE], const uint8_t *data, size_t size,
              void *out)
{
	uint8_t tag[CRYPTO_TAG];
	int n = 0, rest = 0;

	if (size < CRYPTO_TAG)
		return -EBADMSG;
	size -= CRYPTO_TAG;
	memcpy(tag, data + size, CRYPTO_TAG);
	if (!chunk_start(a, nonce, false) ||
	    (size && a->c->EVP_CipherUpdate(a->ctx, out, &n, data, (int)size) != 1) ||
	    a->c->EVP_CIPHER_CTX_ctrl(a->ctx, EVP_CTRL_AEAD_SET_TAG, CRYPTO_TAG, tag) != 1)
		return -EIO;
	/* What was decrypted is true only if this says so. */
	return a->c->EVP_CipherFinal_ex(a->ctx, (uint8_t *)out + n, &rest) == 1 ? 0 : -EBADMSG;
}
