/*
 * The keys of a run: who signs a checkpoint, whose signature is believed, who
 * may read it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "lib/crypto.h"

struct image_keys {
	struct crypto *crypto;
	bool has_sign, has_verify, has_crypt;
	uint8_t sign[CRYPTO_KEY];   /* dump --sign: Ed25519, secret */
	uint8_t verify[CRYPTO_KEY]; /* --verify: Ed25519, public */
	uint8_t crypt[CRYPTO_KEY];  /* dump --encrypt, --decrypt */
};

/* What the command line names; NULL: not given. */
struct key_names {
	const char *sign, *verify;
	const char *encrypt; /* of a dump */
	const char *decrypt; /* of whoever reads */
};

/*
 * Read them: each a file, or "fd:N", a descriptor that is read to its end and
 * closed. *RET is NULL where none is named. The keys of a dump are gone in
 * processes that are forked. -EINVAL, explained: not a key; -ENOTSUP.
 */
int keys_read(const struct key_names *names, struct image_keys **ret);

/* Nobody finds them in memory any more. NULL is fine. */
void keys_wipe(struct image_keys *k);
/* For auto_(). */
void keys_free(struct image_keys **k);
