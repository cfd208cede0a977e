/*
 * Keys lie in a page of their own, which no core dump holds and, where that
 * can be had, no swap; processes that a dump forks do not have it. At restore
 * keys are wiped before anybody is forked.
 *
 * Signing keys are PEM files (openssl genpkey -algorithm ed25519). The key of
 * an encryption is 32 random bytes, as they are or as 64 hexadecimal digits
 * (openssl rand -hex 32).
 */
#define _GNU_SOURCE
#include "images/keys.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/log.h"

#define PAGE     4096u
#define TEXT_MAX 2048u /* of a key file */

/* The page: the keys, and what was read of a file. */
struct keyring {
	struct image_keys keys;
	char text[TEXT_MAX + 1];
};
_Static_assert(sizeof(struct keyring) <= PAGE, "one page");

static struct keyring *ring_of(struct image_keys *k)
{
	return (struct keyring *)k;
}

static int keys_new(bool dump, struct image_keys **ret)
{
	struct image_keys *k =
		mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int r;

	if (k == MAP_FAILED)
		return -ENOMEM;
	mlock(k, PAGE);
	madvise(k, PAGE, MADV_DONTDUMP);
	if (dump)
		madvise(k, PAGE, MADV_WIPEONFORK);
	r = crypto_load(&k->crypto);
	if (r < 0) {
		munmap(k, PAGE);
		return r == -ENOTSUP
		               ? fail(r, "keys: libcrypto.so.3 cannot be loaded; install libssl3")
		               : r;
	}
	*ret = k;
	return 0;
}

void keys_wipe(struct image_keys *k)
{
	struct crypto *crypto;

	if (!k)
		return;
	crypto = k->crypto;
	crypto_wipe(k, PAGE);
	k->crypto = crypto;
}

void keys_free(struct image_keys **k)
{
	if (!*k)
		return;
	crypto_free((*k)->crypto);
	keys_wipe(*k);
	munmap(*k, PAGE);
	*k = NULL;
}

/* "fd:N" or a path. */
static int key_open(const char *option, const char *name)
{
	struct stat st;
	char *end;
	long n;
	int fd;

	if (strncmp(name, "fd:", 3) != 0) {
		fd = open(name, O_RDONLY | O_CLOEXEC | O_NOCTTY);
		if (fd < 0)
			return fail(-EINVAL, "%s %s: %s", option, name, strerror(errno));
		if (strcmp(option, "--verify") != 0 && fstat(fd, &st) == 0 && (st.st_mode & 077))
			warn("%s %s: others may read this key, too", option, name);
		return fd;
	}
	n = strtol(name + 3, &end, 10);
	if (!isdigit((unsigned char)name[3]) || *end || n > INT32_MAX || fcntl((int)n, F_GETFD) < 0)
		return fail(-EINVAL, "%s %s: no such descriptor is open", option, name);
	return (int)n;
}

/* All of it, to the text of the ring; its length. */
static int key_text(struct keyring *ring, const char *option, const char *name)
{
	auto_close int fd = key_open(option, name);
	size_t have = 0;

	if (fd < 0)
		return fd;
	for (;;) {
		ssize_t n = read(fd, ring->text + have, sizeof(ring->text) - have);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return fail(-EINVAL, "%s %s: read: %s", option, name, strerror(errno));
		have += (size_t)n;
		if (have == sizeof(ring->text))
			return fail(-EINVAL, "%s %s: too long for a key", option, name);
		if (!n)
			return (int)have;
	}
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)tolower((unsigned char)c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int crypt_parse(const char *text, size_t size, uint8_t ret[CRYPTO_KEY])
{
	if (size == CRYPTO_KEY) {
		memcpy(ret, text, CRYPTO_KEY);
		return 0;
	}
	while (size && isspace((unsigned char)text[size - 1]))
		size--;
	if (size != 2 * CRYPTO_KEY)
		return -EBADMSG;
	for (size_t i = 0; i < CRYPTO_KEY; i++) {
		int high = hex_digit(text[2 * i]), low = hex_digit(text[2 * i + 1]);

		if (high < 0 || low < 0)
			return -EBADMSG;
		ret[i] = (uint8_t)(high << 4 | low);
	}
	return 0;
}

/* One key; NAME NULL: none. What it must be depends on the option. */
static int key_read(struct image_keys *k, const char *option, const char *name)
{
	struct keyring *ring = ring_of(k);
	int size = name ? key_text(ring, option, name) : 0;
	const char *want = "an Ed25519 key in PEM";
	int r;

	if (!name || size < 0)
		return size;
	if (!strcmp(option, "--sign")) {
		r = crypto_pem_secret(k->crypto, ring->text, (size_t)size, k->sign);
		k->has_sign = true;
		want = "a secret Ed25519 key in PEM without passphrase";
	} else if (!strcmp(option, "--verify")) {
		r = crypto_pem_public(k->crypto, ring->text, (size_t)size, k->verify);
		k->has_verify = true;
	} else {
		r = crypt_parse(ring->text, (size_t)size, k->crypt);
		k->has_crypt = true;
		want = "a key of 32 bytes or 64 hexadecimal digits";
	}
	crypto_wipe(ring->text, sizeof(ring->text));
	return r == -EBADMSG ? fail(-EINVAL, "%s %s: is not %s", option, name, want) : r;
}

int keys_read(const struct key_names *names, struct image_keys **ret)
{
	struct image_keys *k = NULL;
	int r;

	*ret = NULL;
	if (!names->sign && !names->verify && !names->encrypt && !names->decrypt)
		return 0;
	r = keys_new(names->sign || names->encrypt, &k);
	if (r == 0)
		r = key_read(k, "--sign", names->sign);
	if (r == 0)
		r = key_read(k, "--verify", names->verify);
	if (r == 0)
		r = key_read(k, "--encrypt", names->encrypt);
	if (r == 0)
		r = key_read(k, "--decrypt", names->decrypt);
	if (r < 0) {
		keys_free(&k);
		return r;
	}
	*ret = k;
	return 0;
}
