/* Multicast groups, restore half: joined on the interface of the same name, then sources one by one. */
#include "restore/sk_mcast.h"

#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <string.h>

#include "lib/inaddr.h"
#include "lib/log.h"

/* An IPv6 socket can be in groups of IPv4, but not the other way round. */
static bool group_valid(const Img__McastGroup *g, uint32_t family)
{
	bool v4 = inaddr_valid(g->group.data, g->group.len, AF_INET);
	union inaddr group;

	if (!v4 && (family != AF_INET6 || !inaddr_valid(g->group.data, g->group.len, AF_INET6)))
		return false;
	group = inaddr_of(g->group.data, g->group.len);
	if (v4 ? !IN_MULTICAST(ntohl(group.v4.sin_addr.s_addr))
	       : !IN6_IS_ADDR_MULTICAST(&group.v6.sin6_addr))
		return false;
	for (size_t i = 0; i < g->n_source; i++)
		if (!inaddr_valid(g->source[i].data, g->source[i].len, group.sa.sa_family))
			return false;
	return *g->device && strlen(g->device) < IF_NAMESIZE && (g->n_source || !g->include);
}

int mcast_check(const Img__File *file, uint32_t family, Img__McastGroup *const *groups, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!group_valid(groups[i], family))
			return fail(-EBADMSG, "file %u: multicast group %zu makes no sense",
			            file->id, i);
	return 0;
}

static int source_set(int fd, int level, int name, const struct group_req *req,
                      const ProtobufCBinaryData *source)
{
	struct group_source_req with = { .gsr_interface = req->gr_interface,
		                         .gsr_group = req->gr_group };

	memcpy(&with.gsr_source, source->data, source->len);
	return setsockopt(fd, level, name, &with, sizeof(with)) < 0 ? -errno : 0;
}

static int group_join(int fd, const Img__McastGroup *g)
{
	int level = g->group.len == sizeof(struct sockaddr_in) ? IPPROTO_IP : IPPROTO_IPV6;
	int name = g->include ? MCAST_JOIN_SOURCE_GROUP : MCAST_BLOCK_SOURCE, e = 0;
	struct group_req req = { .gr_interface = if_nametoindex(g->device) };

	if (!req.gr_interface)
		return -ENODEV;
	memcpy(&req.gr_group, g->group.data, g->group.len);
	if (!g->include && setsockopt(fd, level, MCAST_JOIN_GROUP, &req, sizeof(req)) < 0)
		return -errno;
	for (size_t i = 0; i < g->n_source && e == 0; i++)
		e = source_set(fd, level, name, &req, &g->source[i]);
	return e;
}

int mcast_join(const Img__File *file, int fd, Img__McastGroup *const *groups, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		union inaddr group = inaddr_of(groups[i]->group.data, groups[i]->group.len);
		int e = group_join(fd, groups[i]);

		if (e < 0)
			return fail(e, "socket %u: join the multicast group %s on interface %s",
			            file->id, inaddr_text(&group), groups[i]->device);
	}
	return 0;
}
