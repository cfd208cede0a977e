/* sock_diag(7): what the kernel lists of sockets, a dump for all of a family in the network namespace of the caller. */
#pragma once

#include <linux/netlink.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Send REQ, a request of the family (struct inet_diag_req_v2 ...) without its
 * header, and call EACH for every message of the answer with what it holds; one that does not
 * return 0 ends it. What that returned, 0, or -errno; -ENOENT: the kernel lists none of that kind.
 */
int sockdiag_each(const void *req, size_t size,
                  int (*each)(const void *msg, size_t size, void *arg), void *arg);

/* The attribute of that type, or NULL. */
const struct nlattr *sockdiag_find(const struct nlattr *attrs, size_t size, uint16_t type);
/* The attributes behind a message of HEAD bytes that has SIZE. */
const struct nlattr *sockdiag_attrs(const void *msg, size_t head, size_t size, size_t *ret_size);
/* What one holds. */
static inline const void *sockdiag_data(const struct nlattr *a)
{
	return (const char *)a + NLA_HDRLEN;
}
static inline size_t sockdiag_size(const struct nlattr *a)
{
	return a->nla_len - (size_t)NLA_HDRLEN;
}
/* Every attribute in turn. */
const struct nlattr *sockdiag_next(const struct nlattr *a, size_t *size);
