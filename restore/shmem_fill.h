/* The content of an object of shared memory. */
#pragma once

#include "proto/shmem.pb-c.h"
#include "restore/restore.h"

/* Fill FD, the object M, from the page files. -errno, not explained. */
int shmem_fill(struct restore *r, const Img__Shmem *m, int fd);
