/* The multicast groups that sockets are members of. */
#pragma once

#include "proto/mcast.pb-c.h"
#include "restore/restore.h"

/* Only what a dump writes. -EBADMSG explained. */
int mcast_check(const Img__File *file, uint32_t family, Img__McastGroup *const *groups, size_t n);

/* FD joins them all. -errno explained. */
int mcast_join(const Img__File *file, int fd, Img__McastGroup *const *groups, size_t n);
