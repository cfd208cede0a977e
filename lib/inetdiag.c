#include "lib/inetdiag.h"

#include <errno.h>
#include <linux/sock_diag.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/cleanup.h"

#define ANSWER_MAX (1 << 16)

typedef int each_fn(const struct inet_diag_msg *msg, const struct nlattr *attrs, size_t size,
                    void *arg);

static int ask(int nl, int family, int protocol, uint32_t states, uint8_t ext)
{
	struct {
		struct nlmsghdr head;
		struct inet_diag_req_v2 req;
	} msg = {
		.head = { .nlmsg_len = sizeof(msg),
		          .nlmsg_type = SOCK_DIAG_BY_FAMILY,
		          .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP },
		.req = { .sdiag_family = (uint8_t)family,
		         .sdiag_protocol = (uint8_t)protocol,
		         .idiag_ext = ext,
		         .idiag_states = states },
	};

	return send(nl, &msg, sizeof(msg), 0) < 0 ? -errno : 0;
}

/* One piece of the answer; *RET_LAST: that was all. */
static int piece(const void *buf, size_t size, each_fn *each, void *arg, bool *ret_last)
{
	for (const struct nlmsghdr *h = buf; NLMSG_OK(h, size); h = NLMSG_NEXT(h, size)) {
		const struct inet_diag_msg *msg = NLMSG_DATA(h);
		const char *attrs = (const char *)msg + NLMSG_ALIGN(sizeof(*msg));
		int r;

		*ret_last = h->nlmsg_type == NLMSG_DONE || h->nlmsg_type == NLMSG_ERROR;
		if (*ret_last)
			return h->nlmsg_type == NLMSG_DONE
			               ? 0
			               : ((const struct nlmsgerr *)NLMSG_DATA(h))->error;
		r = each(msg, (const struct nlattr *)(const void *)attrs,
		         h->nlmsg_len - (size_t)(attrs - (const char *)h), arg);
		if (r)
			return r;
	}
	return 0;
}

int inetdiag_each(int family, int protocol, uint32_t states, uint8_t ext, each_fn *each, void *arg)
{
	auto_close int nl = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	auto_free char *buf = malloc(ANSWER_MAX);
	bool last = false;
	int r = nl < 0 ? -errno : buf ? ask(nl, family, protocol, states, ext) : -ENOMEM;

	while (r == 0 && !last) {
		ssize_t n = recv(nl, buf, ANSWER_MAX, 0);

		if (n < 0 && errno == EINTR)
			continue;
		r = n < 0 ? -errno : piece(buf, (size_t)n, each, arg, &last);
	}
	return r;
}

const struct nlattr *inetdiag_find(const struct nlattr *attrs, size_t size, uint16_t type)
{
	while (size >= NLA_HDRLEN && attrs->nla_len >= NLA_HDRLEN && attrs->nla_len <= size) {
		size_t step = NLA_ALIGN(attrs->nla_len);

		if (attrs->nla_type == type)
			return attrs;
		if (step >= size)
			break;
		attrs = (const struct nlattr *)(const void *)((const char *)attrs + step);
		size -= step;
	}
	return NULL;
}
