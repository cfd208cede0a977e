/*
 * The kernel does not list the groups of a socket, but MCAST_MSFILTER (RFC 3678)
 * answers for one that is asked for. The groups of all sockets are in
 * /proc/net/igmp and igmp6, by interface: each is asked for.
 *
 * Not seen: anycast addresses (IPV6_JOIN_ANYCAST), and groups of an interface
 * that is no more.
 */
#include "dump/sk_mcast.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "lib/cleanup.h"
#include "lib/fd.h"
#include "lib/inaddr.h"
#include "lib/log.h"

#define SOURCES_MAX 4096 /* net.ipv4.igmp_max_msf is 10, net.ipv6.mld_max_msf 64 */

struct candidate {
	union inaddr group;
	unsigned device;
};

struct mcast_known {
	ARRAY(struct candidate) all;
};

/* ---- candidates ---- */

/* Lines of interfaces start with a number, those of their groups with tabs; groups are in network order as they lie. */
static int igmp_parse(struct mcast_known *k, const char *text)
{
	unsigned device = 0, group;

	for (const char *line = text; line && *line; line = strchr(line, '\n')) {
		struct candidate *c;

		line += *line == '\n';
		if (*line != '\t') {
			sscanf(line, "%u", &device);
			continue;
		}
		if (sscanf(line, " %8x", &group) != 1)
			continue;
		c = array_add(&k->all);
		if (!c)
			return -ENOMEM;
		c->device = device;
		c->group.v4 = (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr = { group } };
	}
	return 0;
}

static bool hex_parse(const char *hex, struct in6_addr *ret)
{
	for (size_t i = 0; i < 16; i++) {
		unsigned byte;

		if (sscanf(hex + 2 * i, "%2x", &byte) != 1)
			return false;
		ret->s6_addr[i] = (uint8_t)byte;
	}
	return true;
}

static int igmp6_parse(struct mcast_known *k, const char *text)
{
	for (const char *line = text; line && *line; line = strchr(line, '\n')) {
		struct in6_addr group;
		unsigned device;
		char hex[33];
		struct candidate *c;

		line += *line == '\n';
		if (sscanf(line, "%u %*s %32[0-9a-f]", &device, hex) != 2 || strlen(hex) != 32 ||
		    !hex_parse(hex, &group))
			continue;
		c = array_add(&k->all);
		if (!c)
			return -ENOMEM;
		c->device = device;
		c->group.v6 = (struct sockaddr_in6){ .sin6_family = AF_INET6, .sin6_addr = group };
	}
	return 0;
}

/* A kernel without IPv6 has no igmp6. */
static int known_read(struct mcast_known *k)
{
	auto_free char *igmp = NULL, *igmp6 = NULL;
	int r = 0;

	if (file_read(AT_FDCWD, "/proc/thread-self/net/igmp", &igmp) > 0)
		r = igmp_parse(k, igmp);
	if (r == 0 && file_read(AT_FDCWD, "/proc/thread-self/net/igmp6", &igmp6) > 0)
		r = igmp6_parse(k, igmp6);
	return r;
}

static int known_find(struct dump *d)
{
	if (d->mcast_known)
		return 0;
	d->mcast_known = calloc(1, sizeof(*d->mcast_known));
	return d->mcast_known ? known_read(d->mcast_known) : -ENOMEM;
}

void mcast_forget(struct dump *d)
{
	if (!d->mcast_known)
		return;
	array_done(&d->mcast_known->all);
	free(d->mcast_known);
	d->mcast_known = NULL;
}

/* ---- one socket ---- */

static int address_add(const union inaddr *a, ProtobufCBinaryData *ret)
{
	ret->data = malloc(sizeof(*a));
	if (!ret->data)
		return -ENOMEM;
	ret->len = inaddr_len(a);
	memcpy(ret->data, a, ret->len);
	return 0;
}

static int group_add(struct mcast_groups *groups, const struct candidate *c,
                     const struct group_filter *filter)
{
	Img__McastGroup *g = array_add(&groups->all);
	char name[IF_NAMESIZE] = "";
	int r;

	if (!g)
		return -ENOMEM;
	img__mcast_group__init(g);
	g->include = filter->gf_fmode == MCAST_INCLUDE;
	if (!if_indextoname(c->device, name))
		return -errno;
	g->device = strdup(name);
	g->source = calloc(filter->gf_numsrc + 1, sizeof(*g->source));
	r = g->device && g->source ? address_add(&c->group, &g->group) : -ENOMEM;
	for (uint32_t i = 0; i < filter->gf_numsrc && r == 0; i++) {
		union inaddr source = inaddr_of(&filter->gf_slist[i], sizeof(source));

		if (c->group.sa.sa_family == AF_INET)
			source = inaddr_of(&source, sizeof(source.v4));
		r = address_add(&source, &g->source[g->n_source++]);
	}
	return r;
}

/* Is it a member of this one? */
static int candidate_try(int fd, const struct candidate *c, struct group_filter *filter,
                         struct mcast_groups *groups)
{
	int level = c->group.sa.sa_family == AF_INET ? IPPROTO_IP : IPPROTO_IPV6;
	socklen_t len = GROUP_FILTER_SIZE(SOURCES_MAX);

	memset(filter, 0, GROUP_FILTER_SIZE(0));
	filter->gf_interface = c->device;
	filter->gf_numsrc = SOURCES_MAX;
	memcpy(&filter->gf_group, &c->group, sizeof(c->group));
	if (getsockopt(fd, level, MCAST_MSFILTER, filter, &len) < 0)
		return errno == EADDRNOTAVAIL ? 0 : -errno;
	return filter->gf_numsrc > SOURCES_MAX ? -E2BIG : group_add(groups, c, filter);
}

static int candidates_try(const struct mcast_known *k, const struct file *f, int fd,
                          struct mcast_groups *groups)
{
	auto_free struct group_filter *filter = malloc(GROUP_FILTER_SIZE(SOURCES_MAX));
	int r = filter ? 0 : -ENOMEM;

	array_each (c, &k->all) {
		/* A raw socket of IPv6 has nothing of IPv4. */
		if (r < 0 || (c->group.sa.sa_family == AF_INET6 && f->sock.family == AF_INET) ||
		    (c->group.sa.sa_family == AF_INET && f->sock.family == AF_INET6 &&
		     f->sock.type == SOCK_RAW))
			continue;
		r = candidate_try(fd, c, filter, groups);
	}
	return r;
}

int mcast_read(struct dump *d, const struct file *f, int fd, struct mcast_groups *ret)
{
	int r = known_find(d);

	if (r == 0)
		r = candidates_try(d->mcast_known, f, fd, ret);
	if (r < 0)
		return fail(r, "%s: its multicast groups", file_name(f));
	ret->list = calloc(ret->all.n + 1, sizeof(*ret->list));
	if (!ret->list)
		return -ENOMEM;
	for (size_t i = 0; i < ret->all.n; i++)
		ret->list[i] = &ret->all.v[i];
	return 0;
}

void mcast_done(struct mcast_groups *groups)
{
	array_each (g, &groups->all) {
		for (size_t i = 0; i < g->n_source; i++)
			free(g->source[i].data);
		free(g->source);
		free(g->group.data);
		if (g->device != protobuf_c_empty_string)
			free(g->device);
	}
	array_done(&groups->all);
	free(groups->list);
	groups->list = NULL;
}
