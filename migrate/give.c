/*
 * The sender's end: it answers what is asked for, and from the moment at which the tree runs there sends
 * all of it, one piece after the other, between the answers.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "images/hash.h"
#include "lib/cleanup.h"
#include "lib/log.h"
#include "migrate/piece.h"

struct state {
	const struct giver *g;
	char *buf;
	bool pushing, pushed, all;
	size_t run;  /* of what is sent unasked: that one ... */
	uint64_t at; /* ... from there on */
};

static int send_piece(const struct state *st, uint32_t file, uint64_t offset, size_t size)
{
	struct piece p = { .file = file, .size = (uint32_t)size, .offset = offset };
	int r;

	p.hash = XXH3_64bits(st->buf, size);
	r = channel_put(st->g->channel, WORD_PIECE, &p, sizeof(p));
	return r < 0 ? r : channel_data(st->g->channel, st->buf, size);
}

static int answer(const struct state *st, const struct message *m, const char *text)
{
	struct piece p;

	if (m->size != sizeof(p))
		return fail(-EPROTO, "%s: asks for nothing", st->g->channel->peer);
	memcpy(&p, text, sizeof(p));
	if (!p.size || p.size > PIECE_MAX || p.size % 4096 || p.offset % 4096)
		return fail(-EPROTO, "%s: asks for what cannot be", st->g->channel->peer);
	while (p.size) {
		ssize_t n = later_read(st->g->later, p.file, p.offset, st->buf, p.size);
		int r = n < 0 ? fail((int)n, "read the memory that is asked for") : 0;

		if (r == 0)
			r = send_piece(st, p.file, p.offset, (size_t)n);
		if (r < 0)
			return r;
		p.offset += (uint64_t)n, p.size -= (uint32_t)n;
	}
	return 0;
}

/* The next piece of what nobody has asked for. */
static int push(struct state *st)
{
	const struct later *l = st->g->later;
	const struct later_run *run;
	ssize_t n;
	int r;

	if (st->run == l->runs.n) {
		st->pushing = false;
		st->pushed = true;
		return channel_say(st->g->channel, WORD_DONE, 0, NULL);
	}
	run = &l->runs.v[st->run];
	n = later_read(l, run->file, run->offset + st->at, st->buf, PIECE_MAX);
	if (n < 0)
		return fail((int)n, "read the memory that is left");
	r = send_piece(st, run->file, run->offset + st->at, (size_t)n);
	for (st->at += (uint64_t)n; st->run < l->runs.n && st->at >= l->runs.v[st->run].size;)
		st->at -= l->runs.v[st->run++].size;
	return r;
}

static int hear(struct state *st, bool *ret_told)
{
	const struct giver *g = st->g;
	char text[CHANNEL_TEXT + 1];
	struct message m;
	int r = channel_next_within(g->channel, &m, text, g->timeout_ms);

	if (r == -EPIPE && !log_failure())
		return fail(r, "%s: the connection is closed", g->channel->peer);
	if (r < 0)
		return r;
	switch (m.word) {
	case WORD_WANT:
		return answer(st, &m, text);
	case WORD_READY:
		return g->ready(g->arg);
	case WORD_RUNNING:
		st->pushing = true;
		return g->running(g->arg, m.value);
	case WORD_ALL:
		st->all = true;
		return st->pushed ? 0
		                  : fail(-EPROTO, "%s: has what was not sent", g->channel->peer);
	case WORD_FAILED:
		*ret_told = true;
		return channel_relay(g->channel, &m, text);
	}
	return fail(-EPROTO, "%s: says word %u in between", g->channel->peer, m.word);
}

int give_all(const struct giver *g, bool *ret_told)
{
	auto_free char *buf = malloc(PIECE_MAX);
	struct state st = { .g = g, .buf = buf };
	int r = buf ? 0 : -ENOMEM;

	while (r == 0 && !st.all) {
		struct pollfd p = { .fd = g->channel->in, .events = POLLIN };

		if (st.pushing && poll(&p, 1, 0) <= 0)
			r = push(&st);
		else
			r = hear(&st, ret_told);
	}
	return r;
}
