/*
 * A checkpoint as a stream (doc/FORMAT.md): the bytes of its files in frames,
 * those of each file in order, the manifest last.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define STREAM_MAGIC   "crtlstrm"
#define STREAM_VERSION 1
#define FRAME_MAX      (1u << 20)

/* The stream starts with this; frames follow. */
struct stream_header {
	char magic[8];
	uint32_t version;
	uint32_t reserved; /* 0 */
};

/* Before the SIZE bytes of each frame. */
struct frame_header {
	uint32_t file;   /* 0: state.img, N + 1: pages-N.img, or below */
	uint32_t size;   /* at most FRAME_MAX */
	uint64_t number; /* of the frame, from 0 */
	uint64_t hash;   /* XXH3 64 of the bytes, its seed that of the fields above */
};

#define FRAME_END       UINT32_MAX /* empty, and the last one */
#define FRAME_MANIFEST  (UINT32_MAX - 1)
#define FRAME_SIGNATURE (UINT32_MAX - 2)

uint64_t frame_hash(const struct frame_header *h, const void *data);

/* What frames of a file of that name bear. */
uint32_t frame_file(const char *name);

/*
 * Writing one to FD, which stays the caller's. Whoever reads it and takes
 * nothing for STALL_MS is given up: -ETIMEDOUT. -EPIPE: he has gone. -EINTR: interrupted().
 * After a failure all else fails, too. Everything is explained.
 */
struct stream_out;
int stream_out_new(int fd, unsigned stall_ms, struct stream_out **ret);
void stream_out_free(struct stream_out *s);

/* Bytes of a file; for any thread. */
int stream_put(struct stream_out *s, uint32_t file, const void *data, uint64_t size);

/*
 * Nothing more comes: the last frame; when it returns, all bytes have been taken out of the pipe, or SYNC,
 * are on the disk where it becomes a file.
 */
int stream_end(struct stream_out *s, bool sync);
