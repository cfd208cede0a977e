#include "lib/netlock.h"

#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/array.h"
#include "lib/cleanup.h"

#ifndef NFT_TABLE_F_OWNER
#define NFT_TABLE_F_OWNER 0x2
#endif

#define ELEMENTS_MAX 1000 /* of one message, whose attributes are counted in 16 bits */
#define BATCH_MAX    (1 << 30)
#define PRIORITY_IN  150    /* when all address translation is done */
#define PRIORITY_OUT (-450) /* before any of it */
#define REGISTER(n)  (NFT_REG32_00 + (n))

/* One batch of messages under construction. */
struct batch {
	char *v;
	size_t n, cap;
	uint32_t seq;
	int error;
};

static void batch_done(struct batch *b)
{
	free(b->v);
}

/* SIZE bytes at the end, zeroed; the offset, or SIZE_MAX. */
static size_t batch_room(struct batch *b, size_t size)
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

static size_t message_begin(struct batch *b, uint16_t type, uint16_t flags, uint8_t family,
                            uint16_t res_id)
{
	size_t at = batch_room(b, NLMSG_HDRLEN + sizeof(struct nfgenmsg));

	if (at != SIZE_MAX) {
		*(struct nlmsghdr *)(void *)(b->v + at) =
			(struct nlmsghdr){ .nlmsg_type = type,
			                   .nlmsg_flags = NLM_F_REQUEST | flags,
			                   .nlmsg_seq = ++b->seq };
		*(struct nfgenmsg *)(void *)(b->v + at + NLMSG_HDRLEN) = (struct nfgenmsg){
			.nfgen_family = family, .version = NFNETLINK_V0, .res_id = htons(res_id)
		};
	}
	return at;
}

static void message_end(struct batch *b, size_t at)
{
	if (at != SIZE_MAX)
		((struct nlmsghdr *)(void *)(b->v + at))->nlmsg_len = (uint32_t)(b->n - at);
}

static size_t nft_begin(struct batch *b, uint16_t type, uint16_t flags)
{
	return message_begin(b, (uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | type), flags, NFPROTO_INET,
	                     0);
}

static void batch_mark(struct batch *b, uint16_t type)
{
	message_end(b, message_begin(b, type, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES));
}

static void put(struct batch *b, uint16_t type, const void *data, size_t size)
{
	size_t at = batch_room(b, NLA_HDRLEN + size);

	if (at == SIZE_MAX)
		return;
	*(struct nlattr *)(void *)(b->v + at) =
		(struct nlattr){ .nla_len = (uint16_t)(NLA_HDRLEN + size), .nla_type = type };
	memcpy(b->v + at + NLA_HDRLEN, data, size);
}

static void put_text(struct batch *b, uint16_t type, const char *text)
{
	put(b, type, text, strlen(text) + 1);
}

static void put_u32(struct batch *b, uint16_t type, uint32_t value)
{
	uint32_t be = htonl(value);

	put(b, type, &be, sizeof(be));
}

static size_t nest(struct batch *b, uint16_t type)
{
	size_t at = b->n;

	put(b, type | NLA_F_NESTED, "", 0);
	return at;
}

static void nest_end(struct batch *b, size_t at)
{
	if (!b->error)
		((struct nlattr *)(void *)(b->v + at))->nla_len = (uint16_t)(b->n - at);
}

/* ---- table, chains, sets ---- */

static void add_table(struct batch *b, const char *table, bool stays)
{
	size_t at = nft_begin(b, NFT_MSG_NEWTABLE, NLM_F_CREATE | NLM_F_EXCL);

	put_text(b, NFTA_TABLE_NAME, table);
	put_u32(b, NFTA_TABLE_FLAGS, stays ? 0 : NFT_TABLE_F_OWNER);
	message_end(b, at);
}

static void add_chain(struct batch *b, const char *table, const char *name, uint32_t hook,
                      int32_t priority)
{
	size_t at = nft_begin(b, NFT_MSG_NEWCHAIN, NLM_F_CREATE), inner;

	put_text(b, NFTA_CHAIN_TABLE, table);
	put_text(b, NFTA_CHAIN_NAME, name);
	inner = nest(b, NFTA_CHAIN_HOOK);
	put_u32(b, NFTA_HOOK_HOOKNUM, hook);
	put_u32(b, NFTA_HOOK_PRIORITY, (uint32_t)priority);
	nest_end(b, inner);
	put_text(b, NFTA_CHAIN_TYPE, "filter");
	message_end(b, at);
}

/* Peer and its port, own and its port, each in words of its own. */
static size_t key_size(int family)
{
	return family == AF_INET ? 16 : 40;
}

/* As nft(8) prints it: address . inet_service . address . inet_service, six bits each. */
static uint32_t key_type(int family)
{
	uint32_t address = family == AF_INET ? 7 : 8, service = 13;

	return ((address << 6 | service) << 6 | address) << 6 | service;
}

static const char *set_name(int family)
{
	return family == AF_INET ? "v4" : "v6";
}

static void add_set(struct batch *b, const char *table, int family)
{
	size_t at = nft_begin(b, NFT_MSG_NEWSET, NLM_F_CREATE);

	put_text(b, NFTA_SET_TABLE, table);
	put_text(b, NFTA_SET_NAME, set_name(family));
	put_u32(b, NFTA_SET_FLAGS, 0);
	put_u32(b, NFTA_SET_KEY_TYPE, key_type(family));
	put_u32(b, NFTA_SET_KEY_LEN, (uint32_t)key_size(family));
	put_u32(b, NFTA_SET_ID, (uint32_t)family);
	message_end(b, at);
}

static size_t key_add(char *key, const union inaddr *a)
{
	size_t size = a->sa.sa_family == AF_INET ? 4 : 16;

	if (size == 4)
		memcpy(key, &a->v4.sin_addr, size);
	else
		memcpy(key, &a->v6.sin6_addr, size);
	memcpy(key + size, size == 4 ? &a->v4.sin_port : &a->v6.sin6_port, 2);
	return size + 4;
}

static void put_connection(struct batch *b, const struct netlock_conn *c)
{
	size_t outer = nest(b, NFTA_LIST_ELEM), inner = nest(b, NFTA_SET_ELEM_KEY);
	char key[40] = {};
	size_t n = key_add(key, &c->peer);

	put(b, NFTA_DATA_VALUE, key, n + key_add(key + n, &c->local));
	nest_end(b, inner);
	nest_end(b, outer);
}

/* Up to ELEMENTS_MAX of that family from *AT on. */
static void add_some(struct batch *b, const char *table, int family,
                     const struct netlock_conn *conns, size_t n, size_t *at)
{
	size_t msg = nft_begin(b, NFT_MSG_NEWSETELEM, NLM_F_CREATE), list;

	put_text(b, NFTA_SET_ELEM_LIST_TABLE, table);
	put_text(b, NFTA_SET_ELEM_LIST_SET, set_name(family));
	list = nest(b, NFTA_SET_ELEM_LIST_ELEMENTS);
	for (size_t put = 0; put < ELEMENTS_MAX && *at < n; ++*at)
		if (conns[*at].local.sa.sa_family == family) {
			put_connection(b, &conns[*at]);
			put++;
		}
	nest_end(b, list);
	message_end(b, msg);
}

static size_t count(const struct netlock_conn *conns, size_t n, size_t at, int family)
{
	size_t sum = 0;

	for (; at < n; at++)
		sum += conns[at].local.sa.sa_family == family;
	return sum;
}

/* ---- rules ---- */

static size_t expression(struct batch *b, const char *name, size_t *ret_data)
{
	size_t at = nest(b, NFTA_LIST_ELEM);

	put_text(b, NFTA_EXPR_NAME, name);
	*ret_data = nest(b, NFTA_EXPR_DATA);
	return at;
}

static void expression_end(struct batch *b, size_t at, size_t data)
{
	nest_end(b, data);
	nest_end(b, at);
}

static void expect_meta(struct batch *b, uint32_t key, uint8_t value)
{
	size_t data, inner, at = expression(b, "meta", &data);

	put_u32(b, NFTA_META_DREG, NFT_REG_1);
	put_u32(b, NFTA_META_KEY, key);
	expression_end(b, at, data);
	at = expression(b, "cmp", &data);
	put_u32(b, NFTA_CMP_SREG, NFT_REG_1);
	put_u32(b, NFTA_CMP_OP, NFT_CMP_EQ);
	inner = nest(b, NFTA_CMP_DATA);
	put(b, NFTA_DATA_VALUE, &value, 1);
	nest_end(b, inner);
	expression_end(b, at, data);
}

/* LEN bytes of a header to register *REG, which moves on. */
static void load(struct batch *b, uint32_t base, uint32_t offset, uint32_t len, uint32_t *reg)
{
	size_t data, at = expression(b, "payload", &data);

	put_u32(b, NFTA_PAYLOAD_DREG, REGISTER(*reg));
	put_u32(b, NFTA_PAYLOAD_BASE, base);
	put_u32(b, NFTA_PAYLOAD_OFFSET, offset);
	put_u32(b, NFTA_PAYLOAD_LEN, len);
	expression_end(b, at, data);
	*reg += (len + 3) / 4;
}

/* The address and port of the sender or the receiver of a packet. */
static void load_end(struct batch *b, int family, bool receiver, uint32_t *reg)
{
	uint32_t size = family == AF_INET ? 4 : 16, first = family == AF_INET ? 12 : 8;

	load(b, NFT_PAYLOAD_NETWORK_HEADER, first + (receiver ? size : 0), size, reg);
	load(b, NFT_PAYLOAD_TRANSPORT_HEADER, receiver ? 2 : 0, 2, reg);
}

static void look_up_and_drop(struct batch *b, int family)
{
	size_t data, inner, verdict, at = expression(b, "lookup", &data);

	put_text(b, NFTA_LOOKUP_SET, set_name(family));
	put_u32(b, NFTA_LOOKUP_SREG, REGISTER(0));
	expression_end(b, at, data);
	at = expression(b, "immediate", &data);
	put_u32(b, NFTA_IMMEDIATE_DREG, NFT_REG_VERDICT);
	inner = nest(b, NFTA_IMMEDIATE_DATA);
	verdict = nest(b, NFTA_DATA_VERDICT);
	put_u32(b, NFTA_VERDICT_CODE, NF_DROP);
	nest_end(b, verdict);
	nest_end(b, inner);
	expression_end(b, at, data);
}

/* What comes in is sent by the peer, what goes out by us: the same key for both. */
static void add_rule(struct batch *b, const char *table, const char *chain, int family, bool in)
{
	size_t at = nft_begin(b, NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND), list;
	uint32_t reg = 0;

	put_text(b, NFTA_RULE_TABLE, table);
	put_text(b, NFTA_RULE_CHAIN, chain);
	list = nest(b, NFTA_RULE_EXPRESSIONS);
	expect_meta(b, NFT_META_NFPROTO, family == AF_INET ? NFPROTO_IPV4 : NFPROTO_IPV6);
	expect_meta(b, NFT_META_L4PROTO, IPPROTO_TCP);
	load_end(b, family, !in, &reg);
	load_end(b, family, in, &reg);
	look_up_and_drop(b, family);
	nest_end(b, list);
	message_end(b, at);
}

/* ---- the conversation ---- */

static int netlink_open(void)
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
static int batch_send(struct batch *b, int nl)
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

int netlock_new(const char *name, bool stays, const struct netlock_conn *conns, size_t n)
{
	static const int families[] = { AF_INET, AF_INET6 };
	auto_(batch_done) struct batch b = {};
	auto_close int nl = netlink_open();
	int r;

	if (nl < 0)
		return nl;
	batch_mark(&b, NFNL_MSG_BATCH_BEGIN);
	add_table(&b, name, stays);
	add_chain(&b, name, "in", NF_INET_LOCAL_IN, PRIORITY_IN);
	add_chain(&b, name, "out", NF_INET_LOCAL_OUT, PRIORITY_OUT);
	for (size_t i = 0; i < ARRAY_SIZE(families); i++) {
		add_set(&b, name, families[i]);
		for (size_t at = 0; count(conns, n, at, families[i]);)
			add_some(&b, name, families[i], conns, n, &at);
		add_rule(&b, name, "in", families[i], true);
		add_rule(&b, name, "out", families[i], false);
	}
	batch_mark(&b, NFNL_MSG_BATCH_END);
	r = batch_send(&b, nl);
	return r < 0 ? r : take_fd(&nl);
}

int netlock_remove(const char *name)
{
	auto_(batch_done) struct batch b = {};
	auto_close int nl = netlink_open();
	size_t at;

	if (nl < 0)
		return nl;
	batch_mark(&b, NFNL_MSG_BATCH_BEGIN);
	at = nft_begin(&b, NFT_MSG_DELTABLE, 0);
	put_text(&b, NFTA_TABLE_NAME, name);
	message_end(&b, at);
	batch_mark(&b, NFNL_MSG_BATCH_END);
	return batch_send(&b, nl);
}
