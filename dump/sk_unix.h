/* The parts of the room sk_unix. */
#pragma once

#include <sys/socket.h>
#include <sys/un.h>

#include "dump/dump.h"
#include "dump/sk_unix_diag.h"
#include "lib/unix_facts.h"
#include "proto/sk_unix.pb-c.h"

/* ---- names: sk_unix_name.c ---- */

struct unix_address {
	struct sockaddr_un un;
	size_t len; /* of sun_path, without the NUL that ends a path */
};

/* getsockname(2), or getpeername(2). False: it has none. */
bool unix_address_get(int fd, bool peer, struct unix_address *ret);
/* "/run/x", "@x"; "" for none. One static buffer. */
const char *unix_address_text(const struct unix_address *a);

/* Where the record of a name has its texts. */
struct unix_name {
	struct unix_address address;
	char base[4096];
	Img__SkUnix__Name msg;
};

/* The name of F, of which FD is a descriptor of ours. 0 or -errno. */
int unix_name_read(const struct file *f, int fd, struct unix_name *ret);

/* ---- what waits in a socket: sk_unix_queue.c ---- */

struct unix_queue {
	ARRAY(Img__SkUnix__Message) all;
	Img__SkUnix__Message **list; /* for the record, once read */
	bool reset; /* the program is to be told that its other end was closed unread (ECONNRESET) */
};

/*
 * Peek at all that waits in the socket F, of which FD is ours, of that type; EOF: its other end
 * sends no more. Files in flight get ids. 0 or -errno, perhaps explained; the socket is as it was.
 */
int unix_queue_read(struct dump *d, const struct file *f, int fd, int type, bool eof,
                    struct unix_queue *ret);
void unix_queue_done(struct unix_queue *q);

/* ---- messages that peeking does not show: sk_unix_missed.c ---- */

/* Put them between those of Q, which were peeked at in F, of which FD is ours. Explained, or an error that passes. */
int unix_missed_add(struct dump *d, const struct file *f, int fd, struct unix_queue *q);

/* ---- connections that wait to be accepted: sk_unix_wait.c ---- */

/* May F, the listener SOCK, be dumped with those that wait in it? -errno, explained. */
int unix_waiting_check(struct dump *d, const struct file *f, const struct unix_sock *sock);

/* Where the record of a client that waits has its parts. */
struct unix_waiter {
	Img__SkUnix__Creds creds;
	uint32_t *groups;
	struct unix_messages ahead;
	Img__SkUnix__Message *messages, **list;
};

/* Who connects by F, of which FD is ours, and what it has sent already, of so many bytes, if any. -errno, explained. */
int unix_waiter_read(struct dump *d, const struct file *f, int fd, uint32_t sent,
                     struct unix_waiter *w, Img__SkUnix *msg);
void unix_waiter_done(struct unix_waiter *w);

/* ---- ends outside of the tree: sk_unix_ext.c ---- */

enum unix_policy { UNIX_REFUSE, UNIX_RECONNECT, UNIX_CLOSE, UNIX_INHERIT };

/* --ext-unix for a socket whose other end has that address, or none ("*" fits alone). */
enum unix_policy unix_policy(const struct dump *d, const struct unix_address *peer);
/* "pid 7 (journald)", who has the socket with that inode open; "" for nobody. One static buffer. */
const char *unix_holder(uint32_t ino);
