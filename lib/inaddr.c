#include "lib/inaddr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool inaddr_valid(const void *data, size_t len, int family)
{
	union inaddr a = {};

	if (len != (family == AF_INET ? sizeof(a.v4) : sizeof(a.v6)))
		return false;
	memcpy(&a, data, len);
	return a.sa.sa_family == family;
}

union inaddr inaddr_of(const void *data, size_t len)
{
	union inaddr a = {};

	if (len)
		memcpy(&a, data, len < sizeof(a) ? len : sizeof(a));
	return a;
}

socklen_t inaddr_len(const union inaddr *a)
{
	return a->sa.sa_family == AF_INET ? sizeof(a->v4) : sizeof(a->v6);
}

uint16_t inaddr_port(const union inaddr *a)
{
	return ntohs(a->sa.sa_family == AF_INET ? a->v4.sin_port : a->v6.sin6_port);
}

void inaddr_set_port(union inaddr *a, uint16_t port)
{
	if (a->sa.sa_family == AF_INET)
		a->v4.sin_port = htons(port);
	else
		a->v6.sin6_port = htons(port);
}

bool inaddr_any(const union inaddr *a)
{
	return a->sa.sa_family == AF_INET ? a->v4.sin_addr.s_addr == INADDR_ANY
	                                  : IN6_IS_ADDR_UNSPECIFIED(&a->v6.sin6_addr);
}

bool inaddr_same_host(const union inaddr *a, const union inaddr *b)
{
	if (a->sa.sa_family != b->sa.sa_family)
		return false;
	return a->sa.sa_family == AF_INET ? a->v4.sin_addr.s_addr == b->v4.sin_addr.s_addr
	                                  : IN6_ARE_ADDR_EQUAL(&a->v6.sin6_addr, &b->v6.sin6_addr);
}

union inaddr inaddr_plain(const union inaddr *a)
{
	union inaddr plain = {};

	if (a->sa.sa_family != AF_INET6 || !IN6_IS_ADDR_V4MAPPED(&a->v6.sin6_addr))
		return *a;
	plain.v4.sin_family = AF_INET;
	plain.v4.sin_port = a->v6.sin6_port;
	memcpy(&plain.v4.sin_addr, &a->v6.sin6_addr.s6_addr[12], 4);
	return plain;
}

const char *inaddr_text(const union inaddr *a)
{
	static char texts[4][INET6_ADDRSTRLEN + 10];
	static unsigned next;
	char host[INET6_ADDRSTRLEN] = "?", *text = texts[next++ % 4];

	if (a->sa.sa_family == AF_INET) {
		inet_ntop(AF_INET, &a->v4.sin_addr, host, sizeof(host));
		snprintf(text, sizeof(*texts), "%s:%u", host, inaddr_port(a));
	} else {
		inet_ntop(AF_INET6, &a->v6.sin6_addr, host, sizeof(host));
		snprintf(text, sizeof(*texts), "[%s]:%u", host, inaddr_port(a));
	}
	return text;
}

/* Where the port starts; NULL: there is none. */
static const char *port_find(const char *text, const char *end)
{
	const char *colon = memrchr(text, ':', (size_t)(end - text));

	if (!colon || (*text == '[' && colon[-1] != ']'))
		return NULL;
	return *text == '[' || memchr(text, ':', (size_t)(end - text)) == colon ? colon : NULL;
}

int inaddr_parse(const char *text, size_t len, union inaddr *ret)
{
	const char *end = text + len, *port = len ? port_find(text, end) : NULL;
	char host[64] = "", digits[8] = "";
	union inaddr a = {};
	unsigned long number = 0;
	size_t n = (size_t)((port ? port : end) - text);
	char *rest = digits;

	if (port && (size_t)(end - port) < sizeof(digits)) {
		memcpy(digits, port + 1, (size_t)(end - port - 1));
		number = strtoul(digits, &rest, 10);
	}
	if (*rest || (port && rest == digits) || number > UINT16_MAX)
		return -EINVAL;
	if (n > 2 && *text == '[' && text[n - 1] == ']')
		text++, n -= 2;
	if (n >= sizeof(host))
		return -EINVAL;
	memcpy(host, text, n);
	if (inet_pton(AF_INET, host, &a.v4.sin_addr) == 1)
		a.sa.sa_family = AF_INET;
	else if (inet_pton(AF_INET6, host, &a.v6.sin6_addr) == 1)
		a.sa.sa_family = AF_INET6;
	else
		return -EINVAL;
	inaddr_set_port(&a, (uint16_t)number);
	*ret = a;
	return 0;
}
