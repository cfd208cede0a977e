/*
 * OLD and NEW are an address or an address and a port; without a port all ports are
 * meant, and stay what they are. The first that fits counts. Of a connection between
 * two sockets of the tree both ends move.
 */
#include "restore/sk_tcp_map.h"

#include <errno.h>
#include <string.h>

#include "lib/log.h"

struct move {
	union inaddr from, to;
};

static int word_parse(const char *word, struct move *ret)
{
	const char *equal = strchr(word, '=');

	if (!equal || inaddr_parse(word, (size_t)(equal - word), &ret->from) < 0 ||
	    inaddr_parse(equal + 1, strlen(equal + 1), &ret->to) < 0)
		return fail(-EINVAL,
		            "--tcp-map %s: is no OLD=NEW of addresses as 10.0.0.1, 10.0.0.1:80, "
		            "[fd00::1]:80",
		            word);
	if (ret->from.sa.sa_family != ret->to.sa.sa_family)
		return fail(-EINVAL, "--tcp-map %s: one is of IPv4, the other of IPv6", word);
	if (!inaddr_port(&ret->from) && inaddr_port(&ret->to))
		return fail(-EINVAL, "--tcp-map %s: all ports cannot become one", word);
	return 0;
}

int tcp_map_check(const struct words *map)
{
	struct move move;

	array_each (word, map)
		if (word_parse(*word, &move) < 0)
			return -EINVAL;
	return 0;
}

static bool fits(const struct move *m, const union inaddr *plain)
{
	return inaddr_same_host(plain, &m->from) &&
	       (!inaddr_port(&m->from) || inaddr_port(&m->from) == inaddr_port(plain));
}

/* A, which may be an IPv4 address of an IPv6 socket, at its new place. */
static void apply(const struct move *m, union inaddr *a)
{
	uint16_t port = inaddr_port(&m->to);

	if (a->sa.sa_family == AF_INET)
		a->v4.sin_addr = m->to.v4.sin_addr;
	else if (m->to.sa.sa_family == AF_INET)
		memcpy(&a->v6.sin6_addr.s6_addr[12], &m->to.v4.sin_addr, 4);
	else
		a->v6.sin6_addr = m->to.v6.sin6_addr;
	if (port)
		inaddr_set_port(a, port);
}

static union inaddr now(const struct restore *r, const ProtobufCBinaryData *data)
{
	union inaddr a = inaddr_of(data->data, data->len), plain = inaddr_plain(&a);
	struct move m;

	array_each (word, &r->opt->tcp_map)
		if (word_parse(*word, &m) == 0 && fits(&m, &plain)) {
			apply(&m, &a);
			break;
		}
	return a;
}

union inaddr tcp_local(const struct restore *r, const Img__SkTcp *msg)
{
	return now(r, &msg->local);
}

union inaddr tcp_peer(const struct restore *r, const Img__SkTcp *msg)
{
	return now(r, &msg->peer);
}
