#include "migrate/channel.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/deadline.h"
#include "lib/fd.h"
#include "lib/log.h"

#define GLANCE_MS 20

static int gone(const struct channel *c)
{
	return fail(-EPIPE, "%s: the connection is closed", c->peer);
}

int channel_data(const struct channel *c, const void *data, size_t size)
{
	int r = write_full(c->out, data, size);

	if (r == -EPIPE)
		return gone(c);
	return r < 0 ? fail(r, "%s: send", c->peer) : 0;
}

/* In one write(2): what several processes say does not mix. */
static int say(const struct channel *c, enum word word, uint64_t value, const void *text,
               uint32_t size)
{
	struct {
		struct message m;
		char text[CHANNEL_TEXT];
	} whole = { .m = { .magic = CHANNEL_MAGIC,
		           .version = CHANNEL_VERSION,
		           .word = word,
		           .value = value,
		           .size = size } };

	if (size)
		memcpy(whole.text, text, size);
	return channel_data(c, &whole, sizeof(whole.m) + size);
}

int channel_say(const struct channel *c, enum word word, uint64_t value, const char *text)
{
	return say(c, word, value, text, text ? (uint32_t)strnlen(text, CHANNEL_TEXT) : 0);
}

int channel_put(const struct channel *c, enum word word, const void *text, uint32_t size)
{
	return say(c, word, 0, text, size);
}

/* Until something can be read, or the other side is gone. */
static int wait_input(const struct channel *c, uint64_t since, unsigned ms)
{
	struct pollfd p = { .fd = c->in, .events = POLLIN };

	for (;;) {
		int n = poll(&p, 1, GLANCE_MS);

		if (n > 0)
			return 0;
		if (interrupted())
			return fail(-EINTR, "interrupted by signal %d", interrupted());
		if (n < 0 && errno != EINTR)
			return -errno;
		if (ms && clock_ns() - since > (uint64_t)ms * 1000000)
			return fail(-ETIMEDOUT,
			            "%s: does not answer for %u s; --timeout gives it longer",
			            c->peer, ms / 1000);
	}
}

/* SIZE bytes, piece by piece, none of which may be waited for longer than MS. */
static int take(const struct channel *c, void *buf, size_t size, unsigned ms)
{
	uint64_t since = clock_ns();

	for (size_t done = 0; done < size;) {
		int r = wait_input(c, since, ms);
		ssize_t n = r < 0 ? -1 : read(c->in, (char *)buf + done, size - done);

		if (r < 0)
			return r;
		if (n == 0)
			return -EPIPE;
		if (n < 0 && errno != EINTR && errno != EAGAIN)
			return -errno;
		if (n > 0)
			done += (size_t)n, since = clock_ns();
	}
	return 0;
}

/* Something else speaks there: a shell, a greeting. Its words say what. */
static int not_ours(const struct channel *c, const struct message *m)
{
	char text[sizeof(*m) + 1] = "";
	size_t n = 0;

	for (const char *p = (const char *)m; n < sizeof(*m) && *p >= ' ' && *p <= '~';)
		text[n++] = *p++;
	return fail(-EPROTO,
	            "%s: what answers is no crtool: '%s'; have it run 'crtool receive' and say "
	            "nothing else",
	            c->peer, text);
}

static int message_take(const struct channel *c, struct message *m, char *text, unsigned ms)
{
	int r;

	*m = (struct message){};
	r = take(c, m, sizeof(*m), ms);
	if (r < 0 && (r != -EPIPE || !*m->magic))
		return r;
	if (memcmp(m->magic, CHANNEL_MAGIC, sizeof(m->magic)) != 0 || m->reserved)
		return not_ours(c, m);
	if (r < 0)
		return r;
	if (m->version != CHANNEL_VERSION)
		return fail(-EPROTO,
		            "%s: its crtool migrates by version %" PRIu32 ", this one by %d",
		            c->peer, m->version, CHANNEL_VERSION);
	if (m->size > CHANNEL_TEXT)
		return fail(-EPROTO, "%s: says too much at once", c->peer);
	text[m->size] = '\0';
	return take(c, text, m->size, ms);
}

int channel_next_within(const struct channel *c, struct message *ret, char *text, unsigned ms)
{
	return message_take(c, ret, text, ms);
}

int channel_read(const struct channel *c, void *data, size_t size)
{
	return take(c, data, size, 0);
}

/* Whatever it says goes to our user's terminal: one line of what can be printed. */
static void make_harmless(char *text)
{
	for (unsigned char *p = (unsigned char *)text; *p; p++)
		if (*p < ' ' || *p == 0x7f)
			*p = '?';
}

/* What it says has failed, under its name; -errno. */
int channel_relay(const struct channel *c, const struct message *m, char *text)
{
	char line[CHANNEL_TEXT + 256];

	make_harmless(text);
	snprintf(line, sizeof(line), "%s: %s", c->peer, text);
	return log_relay(m->value && m->value < 4096 ? -(int)m->value : -EPROTO, line);
}

int channel_hear(const struct channel *c, enum word word, unsigned ms, uint64_t *ret,
                 bool *ret_told)
{
	char text[CHANNEL_TEXT + 1];
	struct message m;
	int r = message_take(c, &m, text, ms);

	*ret_told = r == 0 && m.word == WORD_FAILED;
	if (r == -EPIPE)
		return gone(c);
	if (r < 0)
		return log_failure() ? r : fail(r, "%s: read", c->peer);
	if (*ret_told)
		return channel_relay(c, &m, text);
	if (m.word != word)
		return fail(-EPROTO, "%s: says word %" PRIu32 " instead of %d", c->peer, m.word,
		            word);
	*ret = m.value;
	return 0;
}
