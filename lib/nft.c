#include "lib/nft.h"

#include <endian.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "lib/cleanup.h"

#define BATCH_MAX (1 << 30)

void nft_done(struct nft_batch *b)
{
	free(b->v);
}

/* SIZE bytes at the end, zeroed; the offset, or SIZE_MAX. */
static size_t batch_room(struct nft_batch *b, size_t size)
{
	size_t at = b->n, aligned = NLMSG_ALIGN(size);

	if (b->n + aligned > b->cap) {
		size_t cap = (b->n + aligned) * 2;
		char *v = realloc(b->v, cap);

		if (!v) {
			b->error = -ENOMEM;
			return SIZE_MAX;
		}
		b->v = v;
		b->cap = cap;
	}
	memset(b->v + at, 0, aligned);
	b->n += aligned;
	return at;
}

/* ---- messages and attributes ---- */

static size_t message_begin(struct nft_batch *b, uint16_t type, uint16_t flags, uint8_t family,
                            uint16_t res_id)
{
	size_t at = batch_room(b, NLMSG_HDRLEN + sizeof(struct nfgenmsg));

	if (at != SIZE_MAX) {
		*(struct nlmsghdr *)(void *)(b->v + at) =
			(struct nlmsghdr){ .nlmsg_type = type,
			                   .nlmsg_flags = NLM_F_REQUEST | flags,
			                   .nlmsg_seq = ++b->seq };
		*(struct nfgenmsg *)(void *)(b->v + at + NLMSG_HDRLEN) = (struct nfgenmsg){
			.nfgen_family = family, .version = NFNETLINK_V0, .res_id = htobe16(res_id)
		};
	}
	return at;
}

void nft_end(struct nft_batch *b, size_t at)
{
	if (at != SIZE_MAX)
		((struct nlmsghdr *)(void *)(b->v + at))->nlmsg_len = (uint32_t)(b->n - at);
}

size_t nft_begin(struct nft_batch *b, uint16_t type, uint16_t flags)
{
	return message_begin(b, (uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | type), flags, NFPROTO_INET,
	                     0);
}

void nft_mark(struct nft_batch *b, uint16_t type)
{
	nft_end(b, message_begin(b, type, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES));
}

void nft_put(struct nft_batch *b, uint16_t type, const void *data, size_t size)
{
	size_t at = batch_room(b, NLA_HDRLEN + size);

	if (at == SIZE_MAX)
		return;
	*(struct nlattr *)(void *)(b->v + at) =
		(struct nlattr){ .nla_len = (uint16_t)(NLA_HDRLEN + size), .nla_type = type };
	memcpy(b->v + at + NLA_HDRLEN, data, size);
}

void nft_text(struct nft_batch *b, uint16_t type, const char *text)
{
	nft_put(b, type, text, strlen(text) + 1);
}

void nft_u32(struct nft_batch *b, uint16_t type, uint32_t value)
{
	uint32_t be = htobe32(value);

	nft_put(b, type, &be, sizeof(be));
}

size_t nft_nest(struct nft_batch *b, uint16_t type)
{
	size_t at = b->n;

	nft_put(b, type | NLA_F_NESTED, "", 0);
	return at;
}

void nft_nest_end(struct nft_batch *b, size_t at)
{
	if (!b->error)
		((struct nlattr *)(void *)(b->v + at))->nla_len = (uint16_t)(b->n - at);
}

/* ---- the conversation ---- */

int nft_open(void)
{
	auto_close int nl = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
	int size = BATCH_MAX;

	if (nl < 0)
		return -errno;
	setsockopt(nl, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size));
	return take_fd(&nl);
}

static int first_error(const void *buf, size_t size)
{
	for (const struct nlmsghdr *h = buf; NLMSG_OK(h, size); h = NLMSG_NEXT(h, size))
		if (h->nlmsg_type == NLMSG_ERROR && ((const struct nlmsgerr *)NLMSG_DATA(h))->error)
			return ((const struct nlmsgerr *)NLMSG_DATA(h))->error;
	return 0;
}

/* The kernel does all of it within send(2), and answers errors only. */
int nft_send(struct nft_batch *b, int nl)
{
	char buf[8192];
	ssize_t n;
	int r = 0;

	if (b->error)
		return b->error;
	if (send(nl, b->v, b->n, 0) < 0)
		return -errno;
	while (r == 0 && (n = recv(nl, buf, sizeof(buf), MSG_DONTWAIT)) != 0) {
		if (n < 0)
			return errno == EAGAIN ? 0 : -errno;
		r = first_error(buf, (size_t)n);
	}
	return r;
}
