#include "restore/sk_inet.h"

#include <errno.h>

#include "lib/log.h"
#include "lib/portowner.h"

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

int sk_inet_check_options(const Img__File *file, const Img__SockOpts *opts, uint32_t protocol)
{
	const uint32_t levels[] = { SOL_SOCKET, IPPROTO_IP, IPPROTO_IPV6,
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
