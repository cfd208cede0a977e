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
#define CHANNEL_VERSION 1
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

/* The next word, whatever it is. -EPIPE, not explained: the other side has closed. */
int channel_next(const struct channel *c, struct message *ret);
