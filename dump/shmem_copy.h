/* Shared anonymous memory that cannot be opened (shmem.c), read through the mappings of the tree. */
#pragma once

#include "dump/dump.h"

#define SHMEM_COPY_ROOM 16384 /* bytes in the target for answers */

/* Is it of a kind that can be had so? */
bool shmem_copied(const struct vma *v);

/* A memfd as large as what the tree has mapped of the object behind V. -errno. */
int shmem_stand_in(const struct dump *d, const struct vma *v);

/*
 * What is mapped at V of T, the task whose memory it is, to the memfd FD, where it has not that yet.
 * The parasite is in T, AT is room in there. Explained.
 */
int shmem_copy(struct task *t, const struct vma *v, int fd, uint64_t at);
