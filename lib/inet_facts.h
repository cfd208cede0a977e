/* What a program may set of a socket of IPv4 or IPv6 and no call tells, but the memory of the kernel (lib/kmem.h). */
#pragma once

#include <netinet/in.h>

#include "lib/kmem.h"

struct inet_facts {
	uint32_t multicast_device; /* IP_MULTICAST_IF by its number ... */
	struct in_addr multicast_address;
	bool has_policy;      /* IP_XFRM_POLICY, IPV6_XFRM_POLICY */
	uint32_t busy_budget; /* SO_BUSY_POLL_BUDGET; 0: none */
	/* Of IPv6: */
	struct in6_pktinfo source; /* IPV6_PKTINFO */
	uint32_t mtu;              /* IPV6_MTU; 0: none */
	bool has_labels;           /* IPV6_FLOWLABEL_MGR */
	bool has_anycast;          /* IPV6_JOIN_ANYCAST */
};

/* By our own descriptor FD, a datagram or raw socket, IS_SIX: of IPv6. -errno; -EOPNOTSUPP: another kernel. */
int inet_facts_read(const struct kmem *k, int fd, bool is_six, struct inet_facts *ret);
