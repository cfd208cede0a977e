/* The content of a file, out of a page file: the other half of dump/content.c. */
#pragma once

#include "proto/pages.pb-c.h"
#include "restore/restore.h"

/* All N messages hold up, and nothing is beyond END. -EBADMSG, explained. WHAT: whose content, for messages. */
int content_check(struct restore *r, Img__Pages *const *msg, size_t n, uint64_t end,
                  const char *what);

/* Write what was checked to FD. -errno, not explained. */
int content_fill(struct restore *r, Img__Pages *const *msg, size_t n, int fd);
