/*
 * What the two sides of a migration say to each other, over any two pipes (ssh):
 *
 *	sender                          receiver
 *	HELLO                           HELLO
 *	ROUND n, a stream               KEPT
 *	...
 *	LAST n, a stream                READY: the tree stands there, whole
 *	GO                              RUNNING, its pid
 *
 * With --post-copy the last stream may be without its pages (LATER n instead of LAST n). The receiver then
 * asks for some at any time, WANT, and gets them in the order of its questions, PIECE (piece.h). After
 * RUNNING the sender sends all of them unasked, then DONE; the receiver, when all are in their places, ALL.
 *
 * In place of any answer the receiver may say FAILED, why; then nothing is left of the tree on its
 * side. Up to GO the tree belongs to the sender, who may go away at any time; from the
 * moment at which GO is heard, to the receiver.
 *
 * Nothing that is heard is believed to be what it should be.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CHANNEL_MAGIC   "crtlmigr"
#define CHANNEL_VERSION 2
#define CHANNEL_TEXT    4096

enum word {
	WORD_HELLO = 1,
	WORD_ROUND,
	WORD_KEPT,
	WORD_LAST,
	WORD_READY,
	WORD_GO,
	WORD_RUNNING,
	WORD_FAILED,
	WORD_LATER,
	WORD_WANT,
	WORD_PIECE,
	WORD_DONE,
	WORD_ALL,
};

struct message {
	char magic[8];
	uint32_t version;
	uint32_t word;
	uint64_t value;
	uint32_t size;     /* of the text that follows, at most CHANNEL_TEXT */
	uint32_t reserved; /* 0 */
};

/* The two ends of ours. */
struct channel {
	int in, out;
	const char *peer; /* for messages */
};

/* -errno, explained: the other side has gone. TEXT may be NULL. */
int channel_say(const struct channel *c, enum word word, uint64_t value, const char *text);

/*
 * Wait for WORD, MS milliseconds (0: as long as it takes): its value to *RET. Explained: -EPIPE: the
 * other side has gone; -ETIMEDOUT; -EINTR; -EPROTO: it says something else. What it says has failed
 * becomes the failure here, with its -errno, and *RET_TOLD is set.
 */
int channel_hear(const struct channel *c, enum word word, unsigned ms, uint64_t *ret,
                 bool *ret_told);

/*
 * The next word, whatever it is, and TEXT, of CHANNEL_TEXT + 1 bytes; within MS, 0: as long as it takes.
 * -EPIPE, not explained: the other side has closed.
 */
int channel_next_within(const struct channel *c, struct message *ret, char *text, unsigned ms);
static inline int channel_next(const struct channel *c, struct message *ret, char *text)
{
	return channel_next_within(c, ret, text, 0);
}

/* That was FAILED: it becomes the failure here; -errno. */
int channel_relay(const struct channel *c, const struct message *m, char *text);

/* A word with SIZE bytes as its text, in one piece: several processes may do so. */
int channel_put(const struct channel *c, enum word word, const void *text, uint32_t size);

/* Bytes behind a word. */
int channel_data(const struct channel *c, const void *data, size_t size);
int channel_read(const struct channel *c, void *data, size_t size);
