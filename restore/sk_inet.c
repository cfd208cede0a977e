#include "restore/sk_inet.h"

#include <errno.h>
#include <net/if.h>
#include <string.h>

#include "lib/log.h"
#include "lib/portowner.h"

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

int sk_inet_check_options(const Img__File *file, const Img__SockOpts *opts, uint32_t protocol)
{
	const uint32_t levels[] = { SOL_SOCKET, IPPROTO_IP, IPPROTO_IPV6,
		                    protocol == IPPROTO_MPTCP     ? IPPROTO_TCP
		                    : protocol == IPPROTO_UDPLITE ? IPPROTO_UDP
		                                                  : protocol,
		                    protocol == IPPROTO_MPTCP ? IPPROTO_TCP : protocol };

	return sockopts_check_levels(file, opts, levels, ARRAY_SIZE(levels));
}

int sk_inet_bind(const Img__File *file, int fd, const union inaddr *local, int protocol)
{
	if (bind(fd, &local->sa, inaddr_len(local)) == 0)
		return 0;
	if (errno == EADDRINUSE)
		return fail(-EADDRINUSE, "socket %u: %s is in use by %s", file->id,
		            inaddr_text(local),
		            port_owner(local, protocol == IPPROTO_MPTCP ? IPPROTO_TCP : protocol));
	if (errno == EADDRNOTAVAIL)
		return fail(-EADDRNOTAVAIL, "socket %u: %s is no address of this machine", file->id,
		            inaddr_text(local));
	return fail(-errno, "socket %u: bind it to %s", file->id, inaddr_text(local));
}

int sk_inet_connect(const Img__File *file, int fd, const union inaddr *peer)
{
	if (connect(fd, &peer->sa, inaddr_len(peer)) < 0)
		return fail(-errno, "socket %u: connect it to %s", file->id, inaddr_text(peer));
	return 0;
}

int sk_inet_disconnect(int fd)
{
	union inaddr nobody = { .sa.sa_family = AF_UNSPEC };

	return connect(fd, &nobody.sa, sizeof(nobody)) < 0 ? -errno : 0;
}

/* One that is not connected is shut down, too, and said not to be connected. */
int sk_inet_shutdown(int fd, uint32_t how)
{
	if (!how || shutdown(fd, how == 3 ? SHUT_RDWR : how == 2 ? SHUT_WR : SHUT_RD) == 0)
		return 0;
	return errno == ENOTCONN ? 0 : -errno;
}

void sk_inet_scope(union inaddr *a, const Img__SockOpts *opts)
{
	const Img__SockOpts__Value *v = sockopts_find(opts, SOL_SOCKET, SO_BINDTODEVICE);
	char name[IF_NAMESIZE] = "";
	unsigned device;

	if (a->sa.sa_family != AF_INET6 || !a->v6.sin6_scope_id || !v ||
	    v->value.len >= sizeof(name))
		return;
	memcpy(name, v->value.data, v->value.len);
	device = if_nametoindex(name);
	if (device)
		a->v6.sin6_scope_id = device;
}
