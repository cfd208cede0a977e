/*
 * Compressing page files: a sink, so that each thread of a dump compresses what
 * it copies. The index, held back in memory, is written at the end.
 */
#include "images/pack.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/array.h"

struct pack_sink {
	struct sink sink;
	struct codec *codec;
	ARRAY(uint32_t) index; /* the size of each block */
	size_t have;
	uint8_t held[PACK_BLOCK], packed[PACK_BLOCK];
};

/* Must have shrunk by a page at least, to be worth the work of unpacking it. */
#define WORTH (PACK_BLOCK - 4096)

static int block_write(struct pack_sink *s, const uint8_t *data, size_t size)
{
	size_t cap = size < WORTH ? size - 1 : WORTH;
	size_t n = codec_pack(s->codec, data, size, s->packed, cap);
	uint32_t *entry = array_add(&s->index);

	if (!entry)
		return -ENOMEM;
	*entry = (uint32_t)(n ? n : size);
	return s->sink.next->write(s->sink.next, n ? s->packed : data, *entry);
}

static int pack_write(struct sink *sink, const void *data, size_t size)
{
	struct pack_sink *s = (struct pack_sink *)sink;
	const uint8_t *p = data;

	while (size) {
		size_t room = PACK_BLOCK - s->have, n = size < room ? size : room;
		int r = 0;

		if (!s->have && size >= PACK_BLOCK) {
			r = block_write(s, p, PACK_BLOCK);
		} else {
			memcpy(s->held + s->have, p, n);
			s->have += n;
		}
		if (s->have == PACK_BLOCK) {
			r = block_write(s, s->held, s->have);
			s->have = 0;
		}
		if (r < 0)
			return r;
		p += n, size -= n;
	}
	return 0;
}

static int pack_end(struct sink *sink)
{
	struct pack_sink *s = (struct pack_sink *)sink;
	struct sink *next = s->sink.next;
	int r = s->have ? block_write(s, s->held, s->have) : 0;

	if (r == 0 && s->index.n)
		r = next->write(next, s->index.v, s->index.n * sizeof(*s->index.v));
	return r < 0 ? r : next->end(next);
}

static void pack_sink_free(struct sink *sink)
{
	struct pack_sink *s = (struct pack_sink *)sink;

	if (s->sink.next->free)
		s->sink.next->free(s->sink.next);
	codec_free(s->codec);
	array_done(&s->index);
	free(s);
}

int pack_sink_new(const struct compression *how, struct sink *next, struct sink **ret)
{
	struct pack_sink *s = calloc(1, sizeof(*s));
	int r = s ? codec_new(how, &s->codec) : -ENOMEM;

	if (r < 0) {
		free(s);
		return r;
	}
	s->sink = (struct sink){ pack_write, pack_end, pack_sink_free, next };
	*ret = &s->sink;
	return 0;
}
