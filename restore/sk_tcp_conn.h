/* Established connections: made in repair mode behind the network lock, and let loose at the commit. */
#pragma once

#include "lib/inaddr.h"
#include "proto/sk_tcp.pb-c.h"
#include "restore/restore.h"

/* Lock all connections of the images. Explained. */
int tcp_restore_begin(struct restore *r);

/* Make FD, a new socket, that connection, in repair mode; tcp_restore_commit() does the rest. Explained. */
int tcp_conn_make(struct restore *r, const Img__File *file, const Img__SkTcp *msg, int fd);

/* Unlock; every connection leaves repair mode and gets what could not be had in it. Explained. */
int tcp_restore_commit(struct restore *r);
void tcp_restore_done(struct restore *r);

/* SO_REUSEADDR as the image says, after all that needed another value. -errno. */
int tcp_reuse_reset(int fd, const Img__SkTcp *msg);
