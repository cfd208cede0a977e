/* The receiver's end of pages that come afterwards. It stays in the process that brings them to the tree. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "images/hash.h"
#include "lib/log.h"
#include "migrate/piece.h"

struct taker {
	const struct channel *channel;
	char buf[PIECE_MAX];
};

static int want(void *arg, uint32_t file, uint64_t offset, uint64_t size)
{
	const struct taker *t = arg;
	const struct piece p = { .file = file, .size = (uint32_t)size, .offset = offset };

	return channel_put(t->channel, WORD_WANT, &p, sizeof(p));
}

static int gone(int r)
{
	return r == -EPIPE && !log_failure()
	               ? fail(r, "the sender has gone before all of the memory was here")
	               : r;
}

static int take(void *arg, struct far_piece *ret)
{
	struct taker *t = arg;
	char text[CHANNEL_TEXT + 1];
	struct message m;
	struct piece p;
	int r = channel_next(t->channel, &m, text);

	if (r < 0)
		return gone(r);
	if (m.word == WORD_DONE)
		return 0;
	if (m.word != WORD_PIECE || m.size != sizeof(p))
		return fail(-EPROTO, "the sender says word %u in place of pages", m.word);
	memcpy(&p, text, sizeof(p));
	if (p.size > PIECE_MAX)
		return fail(-EPROTO, "the sender says too much at once");
	r = channel_read(t->channel, t->buf, p.size);
	if (r < 0)
		return gone(r);
	if (XXH3_64bits(t->buf, p.size) != p.hash)
		return fail(-EBADMSG, "pages that came have a wrong checksum");
	*ret = (struct far_piece){ p.file, p.offset, p.size, t->buf };
	return 1;
}

static int finish(void *arg)
{
	const struct taker *t = arg;

	return channel_say(t->channel, WORD_ALL, 0, NULL);
}

int taker_new(const struct channel *c, struct far *ret)
{
	struct taker *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	t->channel = c;
	*ret = (struct far){ .fd = c->in, .want = want, .take = take, .finish = finish, .arg = t };
	return 0;
}

void taker_free(struct far *far)
{
	free(far->arg);
	far->arg = NULL;
}
