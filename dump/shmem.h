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
	bool sysv,
		kept; /* a segment, whose id is INO (dump/sysv_shm.c); its content is not saved */
	key_t key;    /* ... as it was made: one marked for destruction has it no more */
};

/* Before the freeze: can it be looked at? Explained. */
int shmem_check_vma(const struct dump *d, const struct task *t, const struct vma *v);

/*
 * While T, the task whose memory it is, can be talked to, AT being SHMEM_COPY_ROOM bytes of its memory:
 * what is mapped at V is read where it could not be opened later. Explained.
 */
int shmem_read_vma(struct dump *d, struct task *t, const struct vma *v, uint64_t at);

/* The object behind the mapping V of T; behind F, a descriptor of a memfd. Explained. */
int shmem_of_vma(struct dump *d, const struct task *t, const struct vma *v,
                 const struct shmem **ret);
int shmem_of_file(struct dump *d, const struct file *f, const struct shmem **ret);

/* The same for a SysV segment that nobody has mapped; FD (consumed) is its content. Explained. */
int shmem_of_segment(struct dump *d, int shmid, int fd, key_t key);

/* Bytes of a huge page, or 0. */
uint64_t shmem_huge_page(const struct shmem *m);

/* Forget all of them. */
void shmems_done(struct dump *d);
