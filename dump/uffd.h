/*
 * userfaultfd(2) for one purpose: write protection that the kernel takes away by
 * itself when a page is written to (UFFD_FEATURE_WP_ASYNC, Linux 6.7), and that ioctl(PAGEMAP_SCAN)
 * tells of and sets. Nobody is woken, nobody has to answer. All that is asked of the
 * descriptor concerns the memory of the process that has made it, whoever asks.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* What userfaultfd(2) is called with. Writes by the kernel for the program are seen all the same. */
#define UFFD_FLAGS (O_CLOEXEC | 1) /* UFFD_USER_MODE_ONLY: for everybody */

/* A fresh one is for this. -errno; -EINVAL: not on this kernel. */
int uffd_begin(int uffd);

/*
 * Whole mappings from START on are tracked, also if they were. -EBUSY: by another one; -EINVAL:
 * not all of it can be; -ESRCH: that memory is gone.
 */
int uffd_track(int uffd, uint64_t start, uint64_t size);
int uffd_untrack(int uffd, uint64_t start, uint64_t size);

/* Pages of tracked memory lose their protection. */
int uffd_disarm(int uffd, uint64_t start, uint64_t size);
