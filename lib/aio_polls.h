/* Requests of AIO contexts that wait for a file to be ready (IOCB_CMD_POLL), as the kernel has them (lib/kmem.h). */
#pragma once

#include "lib/kmem.h"

struct aio_poll {
	uint64_t context; /* its id */
	uint64_t iocb;    /* where the program has its struct iocb */
	uint64_t data;
	uint64_t file;  /* as kmem_file() tells it */
	uint64_t event; /* of the eventfd that counts it (uring_facts_event()); 0: none */
	uint32_t events;
};

struct aio_polls {
	ARRAY(struct aio_poll) all;
};

/*
 * Of the process that MEM is of, our own descriptor of its /proc/PID/mem. -EOPNOTSUPP: this kernel is another
 * one; -errno. To be freed by aio_polls_done().
 */
int aio_polls_read(const struct kmem *k, int mem, struct aio_polls *ret);
void aio_polls_done(struct aio_polls *p);
