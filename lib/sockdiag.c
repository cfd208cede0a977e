#include "lib/sockdiag.h"

#include <errno.h>
#include <linux/sock_diag.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/cleanup.h"

#define ANSWER_MAX  (1 << 16)
#define REQUEST_MAX 128

typedef int each_fn(const void *msg, size_t size, void *arg);

static int ask(int nl, const void *req, size_t size)
{
	struct {
		struct nlmsghdr head;
		char req[REQUEST_MAX];
	} msg = { .head = { .nlmsg_len = (uint32_t)NLMSG_LENGTH(size),
		            .nlmsg_type = SOCK_DIAG_BY_FAMILY,
		            .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP } };

	if (size > sizeof(msg.req))
		return -E2BIG;
	memcpy(msg.req, req, size);
	return send(nl, &msg, msg.head.nlmsg_len, 0) < 0 ? -errno : 0;
}

/* One piece of the answer; *RET_LAST: that was all. */
static int piece(const void *buf, size_t size, each_fn *each, void *arg, bool *ret_last)
{
	for (const struct nlmsghdr *h = buf; NLMSG_OK(h, size); h = NLMSG_NEXT(h, size)) {
		int r;

		*ret_last = h->nlmsg_type == NLMSG_DONE || h->nlmsg_type == NLMSG_ERROR;
		if (*ret_last)
			return h->nlmsg_type == NLMSG_DONE
			               ? 0
			               : ((const struct nlmsgerr *)NLMSG_DATA(h))->error;
		r = each(NLMSG_DATA(h), h->nlmsg_len - (size_t)NLMSG_HDRLEN, arg);
		if (r)
			return r;
	}
	return 0;
}

int sockdiag_each(const void *req, size_t size, each_fn *each, void *arg)
{
	auto_close int nl = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	auto_free char *buf = malloc(ANSWER_MAX);
	bool last = false;
	int r = nl < 0 ? -errno : buf ? ask(nl, req, size) : -ENOMEM;

	while (r == 0 && !last) {
		ssize_t n = recv(nl, buf, ANSWER_MAX, 0);

		if (n < 0 && errno == EINTR)
			continue;
		r = n < 0 ? -errno : n == 0 ? -EPIPE : piece(buf, (size_t)n, each, arg, &last);
	}
	return r;
}

const struct nlattr *sockdiag_attrs(const void *msg, size_t head, size_t size, size_t *ret_size)
{
	head = NLMSG_ALIGN(head);
	*ret_size = size > head ? size - head : 0;
	return (const struct nlattr *)(const void *)((const char *)msg + head);
}

static bool whole(const struct nlattr *a, size_t size)
{
	return size >= (size_t)NLA_HDRLEN && a->nla_len >= NLA_HDRLEN && a->nla_len <= size;
}

const struct nlattr *sockdiag_next(const struct nlattr *a, size_t *size)
{
	size_t step = whole(a, *size) ? (size_t)NLA_ALIGN(a->nla_len) : *size;

	*size = step < *size ? *size - step : 0;
	return (const struct nlattr *)(const void *)((const char *)a + step);
}

const struct nlattr *sockdiag_find(const struct nlattr *attrs, size_t size, uint16_t type)
{
	for (const struct nlattr *a = attrs; whole(a, size); a = sockdiag_next(a, &size))
		if (a->nla_type == type)
			return a;
	return NULL;
}
