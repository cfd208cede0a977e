/*
 * Reading a file so that nobody who watches it (inotify(7), fanotify(7)) is told. Only opening
 * and read(2) and its like raise events, asynchronous reads do not (fs/aio.c): what one has
 * a descriptor of can be read so. They need neither the position of the descriptor, nor move it.
 */
#pragma once

#include <linux/aio_abi.h>
#include <sys/types.h>

#define QUIET_ALIGN 4096u /* of buffer, size and offset: the descriptor may be open with O_DIRECT */

struct quiet {
	aio_context_t context; /* 0: none */
};

/* -errno: there are no asynchronous reads, or too many. */
int quiet_init(struct quiet *q);
/* SIZE bytes or, at the end of the file, less are read into BUF: how many, or -errno. */
ssize_t quiet_pread(struct quiet *q, int fd, void *buf, size_t size, off_t at);
void quiet_done(struct quiet *q);
