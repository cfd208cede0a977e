/* lib/crypto.h and images/keys.h */
#include "keys.h"

/* ---- what libcrypto does is what others mean by these names ---- */

TEST(signatures_are_those_of_rfc_8032)
{
	struct image_keys k = keys_of(0);
	uint8_t signature[CRYPTO_SIGNATURE], want[CRYPTO_SIGNATURE];

	unhex("e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bac"
	      "c61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
	      want);
	check(!crypto_sign(k.crypto, k.sign, "", 0, signature));
	check(!memcmp(signature, want, sizeof(want)));
	check(!crypto_verify(k.crypto, k.verify, "", 0, signature));
	check(crypto_verify(k.crypto, k.verify, "x", 1, signature) == -EBADMSG);
	signature[63] ^= 1;
	check(crypto_verify(k.crypto, k.verify, "", 0, signature) == -EBADMSG);
}

TEST(keys_are_derived_by_hkdf)
{
	struct image_keys k = keys_of(0);
	uint8_t key[CRYPTO_KEY], got[CRYPTO_KEY], want[CRYPTO_KEY];

	for (uint8_t i = 0; i < sizeof(key); i++)
		key[i] = i;
	unhex("8044921649e9783edff5aaef6b8437699a2bc2fa209f16fd9a3148155ac6c29f", want);
	check(!crypto_derive(k.crypto, key, "salt of a checkpoint", 20, "crtool file x", got));
	check(!memcmp(got, want, sizeof(want)));
}

TEST(digests_are_sha256)
{
	struct image_keys k = keys_of(0);
	struct digest *d = digest_new(k.crypto);
	uint8_t got[CRYPTO_DIGEST], want[CRYPTO_DIGEST];

	unhex("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", want);
	digest_add(d, "a", 1);
	digest_add(d, "bc", 2);
	check(!digest_end(d, got) && !memcmp(got, want, sizeof(want)));
	digest_free(d);
}

/* ---- files of keys ---- */

static bool key_refused(const struct place *p, const char *option, const char *text, size_t size,
                        const char *why)
{
	char path[128];
	struct key_names names = {};
	struct image_keys *k;
	bool told;
	int r;

	snprintf(path, sizeof(path), "%s/key", p->dir);
	store(p, "key", (const uint8_t *)text, size);
	if (!strcmp(option, "--sign"))
		names.sign = path;
	else if (!strcmp(option, "--verify"))
		names.verify = path;
	else
		names.decrypt = path;
	r = keys_read(&names, &k);
	told = log_failure() && strstr(log_failure(), why);
	if (r != -EINVAL || !told)
		printf("# %d: %s\n", r, log_failure() ? log_failure() : "no message");
	log_forget();
	return r == -EINVAL && told && !k;
}

TEST(what_is_no_key_is_refused)
{
	static const char hex[] =
		"00112233445566778899aabbccddeeff00112233445566778899aabbccddeefg";
	static const char large[4096];
	struct place p = place_new();
	struct image_keys *k;

	check(key_refused(&p, "--sign", "", 0, "is not a secret Ed25519 key in PEM"));
	check(key_refused(&p, "--verify", "-----BEGIN", 10, "is not an Ed25519 key in PEM"));
	check(key_refused(&p, "--decrypt", hex, 64, "is not a key of 32 bytes or 64 hex"));
	check(key_refused(&p, "--decrypt", hex, 31, "is not a key of 32 bytes or 64 hex"));
	check(key_refused(&p, "--decrypt", large, 4096, "too long for a key"));
	check(keys_read(&(struct key_names){ .decrypt = "/none" }, &k) == -EINVAL && !k);
	check(keys_read(&(struct key_names){ .decrypt = "fd:1x" }, &k) == -EINVAL && !k);
	check(keys_read(&(struct key_names){ .decrypt = "fd:" }, &k) == -EINVAL && !k);
	check(keys_read(&(struct key_names){ .decrypt = "fd:999" }, &k) == -EINVAL && !k);
	log_forget();
	check(!keys_read(&(struct key_names){}, &k) && !k);
	place_free(&p);
}

/* The keys of a dump are not in processes that it forks, and not in memory when they are wiped. */
TEST(keys_are_gone_when_they_should_be)
{
	struct place p = place_new();
	struct image_keys *k;
	char path[128];
	int status;

	snprintf(path, sizeof(path), "%s/key", p.dir);
	store(&p, "key", (const uint8_t *)"0123456789abcdef0123456789ABCDEF", 32);
	check(!keys_read(&(struct key_names){ .encrypt = path }, &k));
	check(k->has_crypt && !memcmp(k->crypt, "0123456789abcdef0123456789ABCDEF", 32));
	if (fork() == 0) {
		check(!k->has_crypt && !k->crypt[0] && !k->crypt[31]);
		_exit(0); /* of what K points to, too, only the parent knows */
	}
	check(wait(&status) > 0 && status == 0);
	keys_wipe(k);
	for (size_t i = 0; i < sizeof(k->crypt); i++)
		check(!k->crypt[i]);
	keys_free(&k);
	check(!k);
	place_free(&p);
}
