/*
 * The mover: code that lies in an arena behind the blob, where there is much memory to move, and makes the checksums
 * of page files (images/hash.h) while the pages are in the cache of the CPU. Freestanding, without data; it uses vector
 * registers, so that it never runs in a thread of a program, only in helpers and in tasks that are being made.
 *
 * This header is the contract between hosted code and the mover. All pointers are addresses in the task that runs it.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

/*
 * Offsets of its functions: mover_write(desk), which does not return; mover_sum(sum, iov, n), which returns 0;
 * mover_read(sum, fd, iov, n, offset), which returns 0 or -errno, leaves the iovecs as they are, and makes no
 * checksum where SUM is NULL.
 */
#define MOVER_WRITE 0
#define MOVER_SUM   16
#define MOVER_READ  32

/* The code, one for each sort of CPU: *RET_SIZE bytes that this one can run. */
const char *mover_code(size_t *ret_size);

#define MOVER_STATE 640 /* bytes: room for an XXH3_state_t */

/* A checksum that is being made, of the pieces of a file or of some that follow each other. Zeros at first. */
struct mover_sum {
	uint8_t piece[MOVER_STATE] __attribute__((aligned(64)));
	uint8_t pieces[MOVER_STATE] __attribute__((aligned(64)));
	uint64_t filled; /* bytes in the piece */
	uint64_t
		hashes; /* address of uint64_t[]: where the hash of each piece goes; 0: they are hashed, too */
	uint64_t n; /* pieces that are whole */
	uint64_t begun;
};

/* ---- a helper that writes ---- */

#define MOVER_RUNS  512u
#define MOVER_BYTES (4u << 20) /* of all runs of an order */
#define MOVER_PAGE  4096u

/* Write these pages to the end of the file. */
struct mover_order {
	uint64_t n; /* 0: there are no more; answer and end */
	struct mover_run {
		uint64_t start, size; /* bytes, whole pages */
		uint64_t keep_zeros;
	} runs[MOVER_RUNS];
};

struct mover_answer {
	int64_t error;    /* 0 or -errno of the write */
	uint64_t written; /* bytes */
	uint64_t hash;    /* of the whole file, in the last answer */
	uint64_t zeros[MOVER_BYTES / MOVER_PAGE /
	               64]; /* a bit for each page of the order that was left out */
};

/* What a helper works with: its descriptor 0 is a socket of packets for orders and answers, 1 the file. */
struct mover_desk {
	struct mover_sum sum;
	uint64_t offset; /* in the file */
	struct mover_order order;
	struct mover_answer answer;
	struct iovec iov[64];
	uint64_t careful; /* chunks that are looked through for zeros before they are written */
	int32_t pair[2];  /* these are for who makes it ready */
	uint64_t spare[32];
};
