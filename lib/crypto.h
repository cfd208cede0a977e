/*
 * Cryptography by OpenSSL's libcrypto, which is loaded when it is first needed:
 * loading it takes 1 ms, as long as the dump of a small process.
 *
 * Functions return 0 or -errno; -EIO: libcrypto failed, -EBADMSG: what was
 * checked is not what it should be.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define CRYPTO_KEY       32u /* bytes of every key, secret or public */
#define CRYPTO_DIGEST    32u /* SHA-256 */
#define CRYPTO_SIGNATURE 64u /* Ed25519 */
#define CRYPTO_TAG       16u /* AES-256-GCM */
#define CRYPTO_NONCE     12u

struct crypto;

/* -ENOTSUP: libcrypto.so.3 cannot be loaded. Stays until the end of the process. */
int crypto_load(struct crypto **ret);
void crypto_free(struct crypto *c);

/* ---- keys ---- */

/*
 * The Ed25519 key of a PEM text: the 32 bytes of the secret one, or of the
 * public one (of which a secret one serves as well). -EBADMSG: there is none.
 */
int crypto_pem_secret(const struct crypto *c, const char *pem, size_t size,
                      uint8_t ret[CRYPTO_KEY]);
int crypto_pem_public(const struct crypto *c, const char *pem, size_t size,
                      uint8_t ret[CRYPTO_KEY]);

/* HKDF-SHA256 (RFC 5869), one block: a key for INFO out of KEY and SALT. */
int crypto_derive(const struct crypto *c, const uint8_t key[CRYPTO_KEY], const void *salt,
                  size_t salt_size, const char *info, uint8_t ret[CRYPTO_KEY]);

/* Overwritten, whatever the compiler thinks of it. */
void crypto_wipe(void *data, size_t size);

/* ---- signatures (Ed25519, RFC 8032) ---- */

int crypto_sign(const struct crypto *c, const uint8_t secret[CRYPTO_KEY], const void *data,
                size_t size, uint8_t ret[CRYPTO_SIGNATURE]);
/* -EBADMSG: it is not theirs. */
int crypto_verify(const struct crypto *c, const uint8_t public[CRYPTO_KEY], const void *data,
                  size_t size, const uint8_t signature[CRYPTO_SIGNATURE]);

/* ---- SHA-256 ---- */

struct digest;

/* NULL: no memory. One for each thread. */
struct digest *digest_new(const struct crypto *c);
void digest_free(struct digest *d);
/* Begin anew; add; end. Failures are kept and told at the end. */
void digest_start(struct digest *d);
void digest_add(struct digest *d, const void *data, size_t size);
int digest_end(struct digest *d, uint8_t ret[CRYPTO_DIGEST]);

/* ---- AES-256-GCM ---- */

struct aead;

/* NULL: no memory. One for each thread; either for sealing or for opening. */
struct aead *aead_new(const struct crypto *c, const uint8_t key[CRYPTO_KEY]);
void aead_free(struct aead *a);
/* SIZE bytes and the tag after them to OUT, which may not overlap. */
int aead_seal(struct aead *a, const uint8_t nonce[CRYPTO_NONCE], const void *data, size_t size,
              uint8_t *out);
/* SIZE bytes, the tag being the last of them. -EBADMSG: forged or damaged, OUT is not to be used. */
int aead_open(struct aead *a, const uint8_t nonce[CRYPTO_NONCE], const uint8_t *data, size_t size,
              void *out);
