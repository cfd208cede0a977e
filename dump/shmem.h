/*
 * Shared memory without a file of any file system: each object is found once,
 * by device and inode, whoever maps it or has it open.
 */
#pragma once

#include "dump/dump.h"

struct shmem {
	uint32_t id; /* from 1, by order of discovery */
	dev_t dev;
	uint64_t ino;
	int fd; /* of ours, readable */
	struct stat st;
	bool memfd;
	char *name; /* of a memfd */
	uint32_t seals;
};

/* The object behind the mapping V of T; behind F, a descriptor of a memfd. Explained. */
int shmem_of_vma(struct dump *d, const struct task *t, const struct vma *v,
                 const struct shmem **ret);
int shmem_of_file(struct dump *d, const struct file *f, const struct shmem **ret);

/* Bytes of a huge page, or 0. */
uint64_t shmem_huge_page(const struct shmem *m);

/* Forget all of them. */
void shmems_done(struct dump *d);
