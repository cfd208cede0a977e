/* Addresses of IPv4 and IPv6 sockets, as the kernel tells them. */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

union inaddr {
	struct sockaddr sa;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

/* The bytes of an address, which may come from anywhere: is it one of FAMILY, whole? */
bool inaddr_valid(const void *data, size_t len, int family);

/* Copy LEN valid bytes. */
union inaddr inaddr_of(const void *data, size_t len);
socklen_t inaddr_len(const union inaddr *a);

uint16_t inaddr_port(const union inaddr *a); /* host byte order */
void inaddr_set_port(union inaddr *a, uint16_t port);
/* 0.0.0.0, ::, whatever the port. */
bool inaddr_any(const union inaddr *a);
bool inaddr_same_host(const union inaddr *a, const union inaddr *b);

/* An IPv4 address in the clothes of IPv6 (::ffff:1.2.3.4) without them; others as they are. */
union inaddr inaddr_plain(const union inaddr *a);

/* "1.2.3.4:80", "[::1]:80"; one of a few static buffers. */
const char *inaddr_text(const union inaddr *a);

/* "1.2.3.4:80", "[::1]:80"; without a port, or with port 0: any. -EINVAL. */
int inaddr_parse(const char *text, size_t len, union inaddr *ret);
