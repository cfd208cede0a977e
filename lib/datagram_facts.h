/*
 * The datagrams that wait in a socket, as the memory of the kernel has them (lib/kmem.h): those without content that
 * somebody has peeked at before are shown by nothing else (net/core/datagram.c).
 */
#pragma once

#include <sys/un.h>

#include "lib/inaddr.h"
#include "lib/kmem.h"

struct datagram_fact {
	uint64_t at; /* where the kernel has it */
	size_t size;
};

struct datagram_facts {
	ARRAY(struct datagram_fact) all; /* the first first */
};

/*
 * By our own descriptor FD, a datagram or seqpacket socket that nobody uses meanwhile; IS_UDP: of UDP or UDP-Lite.
 * None, unless there are more than the KNOWN ones. 0; *RET is to be given to datagram_facts_done(). -EOPNOTSUPP: this
 * kernel is another one. -errno.
 */
int datagram_facts_read(const struct kmem *k, int fd, bool is_udp, size_t known,
                        struct datagram_facts *ret);
void datagram_facts_done(struct datagram_facts *facts);

/* Who sent one to a socket of UDP, whose family that is, as recvfrom(2) would tell it. */
int datagram_facts_from(const struct kmem *k, const struct datagram_fact *one, int family,
                        union inaddr *ret);

/* The same of a unix socket: the bytes of sun_path; whether something came with it that is not told here. */
struct datagram_sender {
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
	size_t len;
	bool has_creds, has_files;
};
int datagram_facts_sender(const struct kmem *k, const struct datagram_fact *one,
                          struct datagram_sender *ret);
