/*
 * liblz4 and libzstd by dlopen(3): declared by their own headers, so that a
 * call of the wrong shape does not compile.
 */
#include "lib/codec.h"

#include <dlfcn.h>
#include <errno.h>
#include <lz4.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "lib/array.h"

#define LZ4_FUNCTIONS(F)     \
	F(LZ4_compress_fast) \
	F(LZ4_decompress_safe)

#define ZSTD_FUNCTIONS(F)      \
	F(ZSTD_createCCtx)     \
	F(ZSTD_freeCCtx)       \
	F(ZSTD_compressCCtx)   \
	F(ZSTD_createDCtx)     \
	F(ZSTD_freeDCtx)       \
	F(ZSTD_decompressDCtx) \
	F(ZSTD_isError)

#define LEVEL_MAX     19 /* beyond it, zstd wants memory by the 100 MiB */
#define LEVEL_DEFAULT 1

struct codec {
	struct compression how;
	void *library;
	ZSTD_CCtx *pack; /* made when first needed */
	ZSTD_DCtx *unpack;
#define DECLARE(name) __typeof__(name) *name;
	LZ4_FUNCTIONS(DECLARE)
	ZSTD_FUNCTIONS(DECLARE)
#undef DECLARE
};

static const char *const names[] = { [CODEC_LZ4] = "lz4", [CODEC_ZSTD] = "zstd" };
static const char *const libraries[] = {
	[CODEC_LZ4] = "liblz4.so.1", [CODEC_ZSTD] = "libzstd.so.1"
};

const char *codec_name(uint32_t codec)
{
	return codec && codec < ARRAY_SIZE(names) ? names[codec] : "?";
}

int compression_parse(const char *text, struct compression *ret)
{
	char *end;
	long level;

	*ret = (struct compression){ CODEC_NONE, LEVEL_DEFAULT };
	if (!text)
		return 0;
	ret->codec = !strncmp(text, "zstd", 4) ? CODEC_ZSTD : CODEC_LZ4;
	if (!strcmp(text, names[ret->codec]))
		return 0;
	if (strncmp(text, "zstd:", 5) != 0)
		return -EINVAL;
	level = strtol(text + 5, &end, 10);
	if (end == text + 5 || *end || level < 1 || level > LEVEL_MAX)
		return -EINVAL;
	ret->level = (int)level;
	return 0;
}

#define FIND(name)                                               \
	c->name = (__typeof__(c->name))dlsym(c->library, #name); \
	if (!c->name)                                            \
		return -ENOTSUP;

static int lz4_find(struct codec *c)
{
	LZ4_FUNCTIONS(FIND)
	return 0;
}

static int zstd_find(struct codec *c)
{
	ZSTD_FUNCTIONS(FIND)
	return 0;
}

int codec_new(const struct compression *how, struct codec **ret)
{
	struct codec *c;
	int r = -ENOTSUP;

	if (how->codec != CODEC_LZ4 && how->codec != CODEC_ZSTD)
		return -ENOTSUP;
	c = calloc(1, sizeof(*c));
	if (!c)
		return -ENOMEM;
	c->how = *how;
	c->library = dlopen(libraries[how->codec], RTLD_NOW | RTLD_LOCAL);
	if (c->library)
		r = how->codec == CODEC_LZ4 ? lz4_find(c) : zstd_find(c);
	if (r < 0) {
		codec_free(c);
		return r;
	}
	*ret = c;
	return 0;
}

void codec_free(struct codec *c)
{
	if (!c)
		return;
	if (c->pack)
		c->ZSTD_freeCCtx(c->pack);
	if (c->unpack)
		c->ZSTD_freeDCtx(c->unpack);
	if (c->library)
		dlclose(c->library);
	free(c);
}

static size_t zstd_pack(struct codec *c, const void *data, size_t size, void *out, size_t cap)
{
	size_t n;

	if (!c->pack)
		c->pack = c->ZSTD_createCCtx();
	if (!c->pack)
		return 0;
	n = c->ZSTD_compressCCtx(c->pack, out, cap, data, size, c->how.level);
	return c->ZSTD_isError(n) ? 0 : n;
}

size_t codec_pack(struct codec *c, const void *data, size_t size, void *out, size_t cap)
{
	if (c->how.codec == CODEC_ZSTD)
		return zstd_pack(c, data, size, out, cap);
	return (size_t)c->LZ4_compress_fast(data, out, (int)size, (int)cap, 1);
}

static int zstd_unpack(struct codec *c, const void *data, size_t size, void *out, size_t want)
{
	size_t n;

	if (!c->unpack)
		c->unpack = c->ZSTD_createDCtx();
	if (!c->unpack)
		return -ENOMEM;
	n = c->ZSTD_decompressDCtx(c->unpack, out, want, data, size);
	return c->ZSTD_isError(n) || n != want ? -EBADMSG : 0;
}

int codec_unpack(struct codec *c, const void *data, size_t size, void *out, size_t want)
{
	if (c->how.codec == CODEC_ZSTD)
		return zstd_unpack(c, data, size, out, want);
	return c->LZ4_decompress_safe(data, out, (int)size, (int)want) == (int)want ? 0 : -EBADMSG;
}
