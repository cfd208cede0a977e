/* What the kernel knows of an io_uring and tells through no file (lib/kmem.h). */
#pragma once

#include "lib/kmem.h"

struct uring_facts {
	uint32_t setup;      /* IORING_SETUP_* that it was made with */
	uint32_t clock;      /* what its timeouts go by, CLOCK_* */
	uint32_t workers[2]; /* most threads of each sort; 0: as many as usual */
	uint32_t first, end; /* empty slots that a request may be given */
	uint64_t idle;       /* ticks that its thread polls before it sleeps */
	bool bound; /* threads that work for it are bound to CPUs (IORING_REGISTER_IOWQ_AFF) */
	bool personalities;   /* credentials are registered */
	bool buffer_groups;   /* there are provided buffers */
	bool tagged;          /* what is registered says when it is in use no more */
	bool event_async;     /* IORING_REGISTER_EVENTFD_ASYNC */
	uint64_t event;       /* the context of the registered eventfd; 0: none */
	ARRAY(uint64_t) file; /* what is registered, as kmem_file() tells it; 0: an empty slot */
};

/*
 * Of our own descriptor FD, of a ring that nobody changes meanwhile. -EOPNOTSUPP: this kernel is another
 * one; -errno. To be freed by uring_facts_done().
 */
int uring_facts_read(const struct kmem *k, int fd, struct uring_facts *ret);
void uring_facts_done(struct uring_facts *f);

/*
 * How many requests of the ring FD, our own descriptor, have not ended yet. -EOPNOTSUPP: this kernel does not count
 * them; another -errno: something has changed meanwhile.
 */
int uring_busy(const struct kmem *k, int fd, uint64_t *ret);

/* The context of our own descriptor FD, of an eventfd. -errno. */
int uring_facts_event(const struct kmem *k, int fd, uint64_t *ret);
