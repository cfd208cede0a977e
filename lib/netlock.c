#include "lib/netlock.h"

#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <string.h>

#include "lib/array.h"
#include "lib/cleanup.h"
#include "lib/nft.h"

#ifndef NFT_TABLE_F_OWNER
#define NFT_TABLE_F_OWNER 0x2
#endif

#define ELEMENTS_MAX 1000   /* of one message, whose attributes are counted in 16 bits */
#define PRIORITY_IN  150    /* when all address translation is done */
#define PRIORITY_OUT (-450) /* before any of it */
#define REGISTER(n)  (NFT_REG32_00 + (n))

enum { TCP_SYN = 0x02, TCP_ACK = 0x10, TCP_FLAGS = 13 /* their place in the header */ };

/* What a set holds; each of IPv4 and of IPv6. */
enum what {
	CONNECTIONS, /* peer, its port, own address, own port */
	LISTENERS,   /* own address, own port */
	PORTS,       /* own port: of listeners at any address */
	HELD,        /* of UDP: own address, own port */
	HELD_PORTS,  /* own port: at any address */
	WHATS
};

static const int families[] = { AF_INET, AF_INET6 };

/* ---- table, chains, sets ---- */

static void add_table(struct nft_batch *b, const char *table, bool stays)
{
	size_t at = nft_begin(b, NFT_MSG_NEWTABLE, NLM_F_CREATE | NLM_F_EXCL);

	nft_text(b, NFTA_TABLE_NAME, table);
	nft_u32(b, NFTA_TABLE_FLAGS, stays ? 0 : NFT_TABLE_F_OWNER);
	nft_end(b, at);
}

static void add_chain(struct nft_batch *b, const char *table, const char *name, uint32_t hook,
                      int32_t priority)
{
	size_t at = nft_begin(b, NFT_MSG_NEWCHAIN, NLM_F_CREATE), inner;

	nft_text(b, NFTA_CHAIN_TABLE, table);
	nft_text(b, NFTA_CHAIN_NAME, name);
	inner = nft_nest(b, NFTA_CHAIN_HOOK);
	nft_u32(b, NFTA_HOOK_HOOKNUM, hook);
	nft_u32(b, NFTA_HOOK_PRIORITY, (uint32_t)priority);
	nft_nest_end(b, inner);
	nft_text(b, NFTA_CHAIN_TYPE, "filter");
	nft_end(b, at);
}

/* Of any address. */
static bool is_ports(enum what what)
{
	return what == PORTS || what == HELD_PORTS;
}

static bool is_udp(enum what what)
{
	return what == HELD || what == HELD_PORTS;
}

static const struct netlock_listener *ends_of(const struct netlock *lock, enum what what)
{
	return is_udp(what) ? lock->held : lock->listeners;
}

static size_t count_of(const struct netlock *lock, enum what what)
{
	return what == CONNECTIONS ? lock->nconns : is_udp(what) ? lock->nheld : lock->nlisteners;
}

static uint32_t address_size(int family)
{
	return family == AF_INET ? 4 : 16;
}

/* Every part has words of its own. */
static uint32_t key_size(enum what what, int family)
{
	uint32_t end = address_size(family) + 4;

	return what == CONNECTIONS ? 2 * end : is_ports(what) ? 2 : end;
}

/* As nft(8) prints it: address . inet_service . address . inet_service, six bits each. */
static uint32_t key_type(enum what what, int family)
{
	uint32_t service = 13, end = (family == AF_INET ? 7 : 8) << 6 | service;

	return what == CONNECTIONS ? end << 12 | end : is_ports(what) ? service : end;
}

static const char *set_name(enum what what, int family)
{
	static const char *const names[WHATS][2] = {
		[CONNECTIONS] = { "v4", "v6" },
		[LISTENERS] = { "listen4", "listen6" },
		[PORTS] = { "port4", "port6" },
		[HELD] = { "udp4", "udp6" },
		[HELD_PORTS] = { "udpport4", "udpport6" },
	};

	return names[what][family == AF_INET6];
}

static void add_set(struct nft_batch *b, const char *table, enum what what, int family)
{
	size_t at = nft_begin(b, NFT_MSG_NEWSET, NLM_F_CREATE);

	nft_text(b, NFTA_SET_TABLE, table);
	nft_text(b, NFTA_SET_NAME, set_name(what, family));
	nft_u32(b, NFTA_SET_FLAGS, 0);
	nft_u32(b, NFTA_SET_KEY_TYPE, key_type(what, family));
	nft_u32(b, NFTA_SET_KEY_LEN, key_size(what, family));
	nft_u32(b, NFTA_SET_ID, (uint32_t)what << 8 | (uint32_t)family);
	nft_end(b, at);
}

static size_t key_add(char *key, const union inaddr *a)
{
	size_t size = address_size(a->sa.sa_family);

	if (size == 4)
		memcpy(key, &a->v4.sin_addr, size);
	else
		memcpy(key, &a->v6.sin6_addr, size);
	memcpy(key + size, size == 4 ? &a->v4.sin_port : &a->v6.sin6_port, 2);
	return size + 4;
}

/* The key of element I of LOCK, if it is one of that set. */
static bool key_of(const struct netlock *lock, size_t i, enum what what, int family, char *key)
{
	const struct netlock_listener *end;
	const union inaddr *own;
	size_t n;

	memset(key, 0, 40);
	if (what == CONNECTIONS) {
		if (lock->conns[i].local.sa.sa_family != family)
			return false;
		n = key_add(key, &lock->conns[i].peer);
		key_add(key + n, &lock->conns[i].local);
		return true;
	}
	end = &ends_of(lock, what)[i];
	own = &end->local;
	if (own->sa.sa_family != family && !(end->dual && family == AF_INET))
		return false;
	if (inaddr_any(own) != is_ports(what))
		return false;
	if (is_ports(what))
		memcpy(key, own->sa.sa_family == AF_INET ? &own->v4.sin_port : &own->v6.sin6_port,
		       2);
	else
		key_add(key, own);
	return true;
}

static void put_element(struct nft_batch *b, const char *key, size_t size)
{
	size_t outer = nft_nest(b, NFTA_LIST_ELEM), inner = nft_nest(b, NFTA_SET_ELEM_KEY);

	nft_put(b, NFTA_DATA_VALUE, key, size);
	nft_nest_end(b, inner);
	nft_nest_end(b, outer);
}

/* Up to ELEMENTS_MAX from *AT on. */
static void add_some(struct nft_batch *b, const char *table, const struct netlock *lock,
                     enum what what, int family, size_t *at)
{
	size_t n = count_of(lock, what), list;
	size_t msg = nft_begin(b, NFT_MSG_NEWSETELEM, NLM_F_CREATE);
	char key[40];

	nft_text(b, NFTA_SET_ELEM_LIST_TABLE, table);
	nft_text(b, NFTA_SET_ELEM_LIST_SET, set_name(what, family));
	list = nft_nest(b, NFTA_SET_ELEM_LIST_ELEMENTS);
	for (size_t put = 0; put < ELEMENTS_MAX && *at < n; ++*at)
		if (key_of(lock, *at, what, family, key)) {
			put_element(b, key, key_size(what, family));
			put++;
		}
	nft_nest_end(b, list);
	nft_end(b, msg);
}

/* Is there any from *AT on? */
static bool more(const struct netlock *lock, enum what what, int family, size_t *at)
{
	size_t n = count_of(lock, what);
	char key[40];

	while (*at < n && !key_of(lock, *at, what, family, key))
		++*at;
	return *at < n;
}

/* ---- rules ---- */

static size_t expression(struct nft_batch *b, const char *name, size_t *ret_data)
{
	size_t at = nft_nest(b, NFTA_LIST_ELEM);

	nft_text(b, NFTA_EXPR_NAME, name);
	*ret_data = nft_nest(b, NFTA_EXPR_DATA);
	return at;
}

static void expression_end(struct nft_batch *b, size_t at, size_t data)
{
	nft_nest_end(b, data);
	nft_nest_end(b, at);
}

/* One byte of a register. */
static void expect_equal(struct nft_batch *b, uint32_t reg, const uint8_t *value)
{
	size_t data, inner, at = expression(b, "cmp", &data);

	nft_u32(b, NFTA_CMP_SREG, reg);
	nft_u32(b, NFTA_CMP_OP, NFT_CMP_EQ);
	inner = nft_nest(b, NFTA_CMP_DATA);
	nft_put(b, NFTA_DATA_VALUE, value, 1);
	nft_nest_end(b, inner);
	expression_end(b, at, data);
}

static void expect_meta(struct nft_batch *b, uint32_t key, uint8_t value)
{
	size_t data, at = expression(b, "meta", &data);

	nft_u32(b, NFTA_META_DREG, NFT_REG_1);
	nft_u32(b, NFTA_META_KEY, key);
	expression_end(b, at, data);
	expect_equal(b, NFT_REG_1, &value);
}

/* LEN bytes of a header to register *REG, which moves on. */
static void load(struct nft_batch *b, uint32_t base, uint32_t offset, uint32_t len, uint32_t *reg)
{
	size_t data, at = expression(b, "payload", &data);

	nft_u32(b, NFTA_PAYLOAD_DREG, REGISTER(*reg));
	nft_u32(b, NFTA_PAYLOAD_BASE, base);
	nft_u32(b, NFTA_PAYLOAD_OFFSET, offset);
	nft_u32(b, NFTA_PAYLOAD_LEN, len);
	expression_end(b, at, data);
	*reg += (len + 3) / 4;
}

/* The address and port of the sender or the receiver of a packet. */
static void load_end(struct nft_batch *b, int family, bool receiver, uint32_t *reg)
{
	uint32_t size = family == AF_INET ? 4 : 16, first = family == AF_INET ? 12 : 8;

	load(b, NFT_PAYLOAD_NETWORK_HEADER, first + (receiver ? size : 0), size, reg);
	load(b, NFT_PAYLOAD_TRANSPORT_HEADER, receiver ? 2 : 0, 2, reg);
}

static void look_up_and_drop(struct nft_batch *b, enum what what, int family)
{
	size_t data, inner, verdict, at = expression(b, "lookup", &data);

	nft_text(b, NFTA_LOOKUP_SET, set_name(what, family));
	nft_u32(b, NFTA_LOOKUP_SREG, REGISTER(0));
	expression_end(b, at, data);
	at = expression(b, "immediate", &data);
	nft_u32(b, NFTA_IMMEDIATE_DREG, NFT_REG_VERDICT);
	inner = nft_nest(b, NFTA_IMMEDIATE_DATA);
	verdict = nft_nest(b, NFTA_DATA_VERDICT);
	nft_u32(b, NFTA_VERDICT_CODE, NF_DROP);
	nft_nest_end(b, verdict);
	nft_nest_end(b, inner);
	expression_end(b, at, data);
}

/* Not what this network namespace sends to itself. */
static void expect_from_outside(struct nft_batch *b)
{
	const uint32_t loopback = 1;
	size_t data, inner, at = expression(b, "meta", &data);

	nft_u32(b, NFTA_META_DREG, NFT_REG_1);
	nft_u32(b, NFTA_META_KEY, NFT_META_IIF);
	expression_end(b, at, data);
	at = expression(b, "cmp", &data);
	nft_u32(b, NFTA_CMP_SREG, NFT_REG_1);
	nft_u32(b, NFTA_CMP_OP, NFT_CMP_NEQ);
	inner = nft_nest(b, NFTA_CMP_DATA);
	nft_put(b, NFTA_DATA_VALUE, &loopback, sizeof(loopback));
	nft_nest_end(b, inner);
	expression_end(b, at, data);
}

/* Only what asks for a new connection. */
static void expect_syn(struct nft_batch *b)
{
	const uint8_t mask = TCP_SYN | TCP_ACK, none = 0, syn = TCP_SYN;
	size_t data, inner, at;
	uint32_t reg = 0;

	load(b, NFT_PAYLOAD_TRANSPORT_HEADER, TCP_FLAGS, 1, &reg);
	at = expression(b, "bitwise", &data);
	nft_u32(b, NFTA_BITWISE_SREG, REGISTER(0));
	nft_u32(b, NFTA_BITWISE_DREG, REGISTER(0));
	nft_u32(b, NFTA_BITWISE_LEN, 1);
	inner = nft_nest(b, NFTA_BITWISE_MASK);
	nft_put(b, NFTA_DATA_VALUE, &mask, 1);
	nft_nest_end(b, inner);
	inner = nft_nest(b, NFTA_BITWISE_XOR);
	nft_put(b, NFTA_DATA_VALUE, &none, 1);
	nft_nest_end(b, inner);
	expression_end(b, at, data);
	expect_equal(b, REGISTER(0), &syn);
}

/* What comes in is sent by the peer, what goes out by us: the same key for both. */
static void load_key(struct nft_batch *b, enum what what, int family, bool in)
{
	uint32_t reg = 0;

	if (is_ports(what)) {
		load(b, NFT_PAYLOAD_TRANSPORT_HEADER, 2, 2, &reg);
		return;
	}
	if (what == CONNECTIONS)
		load_end(b, family, !in, &reg);
	load_end(b, family, in, &reg);
}

static void add_rule(struct nft_batch *b, const char *table, const struct netlock *lock,
                     enum what what, int family, bool in)
{
	size_t at = nft_begin(b, NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND), list;

	nft_text(b, NFTA_RULE_TABLE, table);
	nft_text(b, NFTA_RULE_CHAIN, in ? "in" : "out");
	list = nft_nest(b, NFTA_RULE_EXPRESSIONS);
	expect_meta(b, NFT_META_NFPROTO, family == AF_INET ? NFPROTO_IPV4 : NFPROTO_IPV6);
	expect_meta(b, NFT_META_L4PROTO, is_udp(what) ? IPPROTO_UDP : IPPROTO_TCP);
	if (what == LISTENERS || what == PORTS) {
		if (lock->lets_in_own)
			expect_from_outside(b);
		expect_syn(b);
	}
	load_key(b, what, family, in);
	look_up_and_drop(b, what, family);
	nft_nest_end(b, list);
	nft_end(b, at);
}

/* A set that would be empty is not made. */
static void add_what(struct nft_batch *b, const char *table, const struct netlock *lock,
                     enum what what, int family)
{
	size_t at = 0;

	if (!more(lock, what, family, &at))
		return;
	add_set(b, table, what, family);
	while (more(lock, what, family, &at))
		add_some(b, table, lock, what, family, &at);
	add_rule(b, table, lock, what, family, true);
	if (what == CONNECTIONS)
		add_rule(b, table, lock, what, family, false);
}

int netlock_new(const char *name, bool stays, const struct netlock *lock)
{
	auto_(nft_done) struct nft_batch b = {};
	auto_close int nl = nft_open();
	int r;

	if (nl < 0)
		return nl;
	nft_mark(&b, NFNL_MSG_BATCH_BEGIN);
	add_table(&b, name, stays);
	add_chain(&b, name, "in", NF_INET_LOCAL_IN, PRIORITY_IN);
	add_chain(&b, name, "out", NF_INET_LOCAL_OUT, PRIORITY_OUT);
	for (int what = 0; what < WHATS; what++)
		for (size_t i = 0; i < ARRAY_SIZE(families); i++)
			add_what(&b, name, lock, (enum what)what, families[i]);
	nft_mark(&b, NFNL_MSG_BATCH_END);
	r = nft_send(&b, nl);
	return r < 0 ? r : take_fd(&nl);
}

int netlock_remove(const char *name)
{
	auto_(nft_done) struct nft_batch b = {};
	auto_close int nl = nft_open();
	size_t at;

	if (nl < 0)
		return nl;
	nft_mark(&b, NFNL_MSG_BATCH_BEGIN);
	at = nft_begin(&b, NFT_MSG_DELTABLE, 0);
	nft_text(&b, NFTA_TABLE_NAME, name);
	nft_end(&b, at);
	nft_mark(&b, NFNL_MSG_BATCH_END);
	return nft_send(&b, nl);
}
