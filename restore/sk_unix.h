/* The parts of the room sk_unix. */
#pragma once

#include <sys/socket.h>

#include "proto/sk_unix.pb-c.h"
#include "restore/restore.h"

/* Is that a name that a socket can have? */
bool unix_name_valid(const ProtobufCBinaryData *address);
/* Is PATH the file of a socket of the tree? It is made anew. */
bool unix_makes_file(const struct restore *r, const char *path);
/* "/run/x", "@x". One static buffer. */
const char *unix_name_text(const ProtobufCBinaryData *address);

/*
 * Bind FD to NAME: where it stands in the file system, replacing the dead file
 * that the dumped process left; or, if nothing leads to it any more or HIDDEN,
 * where nobody else can see it. -errno; -EADDRINUSE: somebody else uses the name.
 */
int unix_bind(int fd, const Img__SkUnix__Name *name, bool hidden);

/* Connect FD to the socket TARGET, a descriptor of ours, whatever leads to its name. -errno. */
int unix_connect(int fd, int target);

/* sendmsg(2), to TARGET, a descriptor of ours; -1: to whom FD is connected. -errno. */
ssize_t unix_send_to(int fd, int target, struct msghdr *msg);

/* Connect FD to a name outside. -errno. */
int unix_connect_name(int fd, const ProtobufCBinaryData *address);

/*
 * CALL(A, B), descriptors of ours, by a process with credentials C, so that these are
 * what SO_PEERCRED shows; by us if C is NULL or, with a warning about socket ID, if that is not possible.
 * What it returned, 0 or -errno. Not once the tree exists.
 */
int unix_as(uint32_t id, const Img__SkUnix__Creds *c, int (*call)(int a, int b), int a, int b);

/* Connect those whose connections wait in listener MSG of file ID. Before the tree exists. -errno, explained. */
int unix_pending(struct restore *r, uint32_t id, const Img__SkUnix *msg);

/* When all files are open: what waits in them; then options and ends. */
int unix_fill(struct restore *r);
