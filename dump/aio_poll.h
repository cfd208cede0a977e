/* Requests of AIO contexts that wait for a file to be ready (IOCB_CMD_POLL). */
#pragma once

#include "dump/dump.h"
#include "dump/kernel_memory.h"
#include "lib/aio_polls.h"
#include "proto/aio.pb-c.h"

struct aio_found {
	struct aio_polls polls;
	struct open_files open; /* read only if there are any */
};

/* Those of T, which is frozen. Where the kernel does not let us it is told that there may be some. Explained. */
int aio_polls_find(struct dump *d, const struct task *t, struct aio_found *ret);
void aio_found_done(struct aio_found *found);

/* What is FOUND of the context C goes there, to be freed by aio_polls_free(). -ENOTSUP, explained. */
int aio_polls_put(struct task *t, const struct aio_found *found, Img__Aio__Context *c);
void aio_polls_free(Img__Aio__Context *c);
