/*
 * What the kernel has in its memory and tells through no file, read by a program of bpf(2): for root, or with
 * CAP_BPF and CAP_PERFMON, on a kernel that says how its structures are laid out. What is read may change
 * meanwhile, or be no more: look only at what stands still. Whoever uses it must do without where it cannot be had.
 */
#pragma once

#include "lib/btf.h"

struct kmem {
	const struct btf *btf;
	int program; /* -1: none */
};

#define KMEM_NONE ((struct kmem){ .program = -1 })

/* B, which must live as long; NULL: -EOPNOTSUPP. -errno. */
int kmem_open(const struct btf *b, struct kmem *ret);
void kmem_done(struct kmem *k);

/* The number at PLACE, of at most 64 bits, of the structure at AT. -EFAULT: there is no such memory. */
int kmem_read(const struct kmem *k, uint64_t at, const struct place *place, uint64_t *ret);

/* SIZE bytes at AT. -EFAULT, likewise. */
int kmem_copy(const struct kmem *k, uint64_t at, void *buf, size_t size);

/* The structure file of our own descriptor FD. -errno. */
int kmem_file(const struct kmem *k, int fd, uint64_t *ret);

/* Many fields: the first failure is kept, and what could not be read is 0. */
struct kmem_reader {
	const struct kmem *k;
	int error;
};

/* E, if it is a failure, and the first one. */
void kmem_failed(struct kmem_reader *r, int e);
/* PATH of the structure TYPE at AT. */
uint64_t kmem_get(struct kmem_reader *r, const char *type, const char *path, uint64_t at);
/* The same of a place that is known already. */
uint64_t kmem_get_at(struct kmem_reader *r, const struct place *place, uint64_t at);
/* What the open file of our own descriptor FD is the handle of (private_data). */
uint64_t kmem_private(struct kmem_reader *r, int fd);
/* The same of a socket: its struct sock, which is at the beginning of what its family makes of it. */
uint64_t kmem_sock(struct kmem_reader *r, int fd);
/* Where it is in a structure; one that this kernel has not got is a failure. */
struct place kmem_place(struct kmem_reader *r, const char *type, const char *path);
