/* Shared memory without a file of any file system: each object is made once, by the coordinator. */
#pragma once

#include "proto/shmem.pb-c.h"
#include "restore/restore.h"

/* The record of an object, or NULL. */
const Img__Shmem *shmem_record(const struct restore *r, uint32_t id);

/* Refuse hostile content of all of them. */
int shmem_check(struct restore *r);

/*
 * The pool number of the object ID, made and filled on first use, for writing
 * or reading only. -errno, explained.
 */
int shmem_get(struct restore *r, uint32_t id, bool write);

/* Seal memfds, once everything is mapped. */
int shmem_seal(struct restore *r);

void shmem_done(struct restore *r);
