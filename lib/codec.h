/*
 * Compression by liblz4 and libzstd, which are loaded when they are first
 * needed, like libcrypto (lib/crypto.h).
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* On disk for ever. */
enum codec_id {
	CODEC_NONE = 0,
	CODEC_LZ4 = 1,
	CODEC_ZSTD = 2,
};

/* How to compress. */
struct compression {
	enum codec_id codec;
	int level; /* of zstd */
};

/* "lz4", "zstd", "zstd:19"; NULL: none. -EINVAL, not explained. */
int compression_parse(const char *text, struct compression *ret);

/* "lz4"; "?" if there is none of that number. */
const char *codec_name(uint32_t codec);

/* One of its own for each thread. -ENOTSUP: there is no such codec, or its library cannot be loaded; -ENOMEM. */
struct codec;
int codec_new(const struct compression *how, struct codec **ret);
void codec_free(struct codec *c);

/* SIZE bytes become as many as are returned; 0: they do not fit into CAP. */
size_t codec_pack(struct codec *c, const void *data, size_t size, void *out, size_t cap);

/* The contrary: DATA holds WANT bytes, neither more nor less, or -EBADMSG. Untrusted. */
int codec_unpack(struct codec *c, const void *data, size_t size, void *out, size_t want);
