/* Reading a stream (images/stream.h). Nothing in it is believed. Everything is explained. */
#pragma once

#include "images/judge.h"

/*
 * The checkpoint IM from the stream FD, to its end. PAGES_USED are received
 * into memory of our own, else they are only verified.
 */
int stream_load(struct images *im, struct access *a, int fd);

/*
 * A stream becomes a directory, DIRFD, which must be empty. It is judged like
 * any checkpoint, but what is encrypted is kept as it is without a key.
 */
int stream_unpack(int fd, int dirfd, const struct image_keys *keys);

/* The same where something else follows the stream, and nobody waits for the disk. */
int stream_unpack_one(int fd, int dirfd, const struct image_keys *keys);

/* Is the checkpoint in DIRFD readable only with a key? -errno, not explained: it cannot be read at all. */
int dir_is_encrypted(int dirfd);

/* The contrary, to FD. */
int stream_pack(const char *dir, int fd, unsigned stall_ms, const struct image_keys *keys);
