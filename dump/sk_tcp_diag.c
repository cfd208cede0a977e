/*
 * One netlink dump for each family that the tree has, kept by file id: what it
 * tells of a connection saves some twenty system calls. TCP_MD5SIG is told by it alone, to who
 * has CAP_NET_ADMIN (without it there is no lock either).
 */
#include "dump/sk_tcp_diag.h"

#include <errno.h>
#include <linux/sock_diag.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "dump/sk_tcp_read.h"
#include "lib/inetdiag.h"
#include "lib/log.h"

#define EXT(what) (1 << ((what)-1))
/* Of keys and of protocols above is told besides the first. */
#define WITH \
	EXT(INET_DIAG_INFO) | EXT(INET_DIAG_CONG) | EXT(INET_DIAG_TOS) | EXT(INET_DIAG_SKMEMINFO)

/* Bits of struct inet_diag_sockopt, as its bytes have them. */
enum flag {
	FLAG_RECVERR = 0x1,
	FLAG_FREEBIND = 0x4,
	FLAG_HDRINCL = 0x8,
	FLAG_MC_LOOP = 0x10,
	FLAG_TRANSPARENT = 0x20,
	FLAG_MC_ALL = 0x40,
	FLAG_NODEFRAG = 0x80,
	FLAG_BIND_ADDRESS_NO_PORT = 0x100,
	FLAG_RECVERR_RFC4884 = 0x200,
};

struct tcp_diags {
	bool frozen; /* when it was listed */
	bool v4, v6; /* what has been */
	dev_t dev;   /* of sockets */
	size_t n;
	struct tcp_diag *all; /* by file id */
};

struct listing {
	struct dump *d;
	struct tcp_diags *diags;
};

/* The bytes of an attribute, as much of them as SIZE; false: there are fewer, or none. */
static bool attr_get(const struct nlattr *attrs, size_t size, uint16_t type, void *ret, size_t want)
{
	const struct nlattr *a = sockdiag_find(attrs, size, type);

	if (!a || sockdiag_size(a) < want)
		return false;
	memcpy(ret, sockdiag_data(a), want);
	return true;
}

static void diag_fill(struct tcp_diag *diag, const struct inet_diag_msg *msg,
                      const struct nlattr *attrs, size_t size)
{
	const struct nlattr *name = sockdiag_find(attrs, size, INET_DIAG_CONG);
	uint32_t memory[SK_MEMINFO_SNDBUF + 1];
	struct tcp_info info;
	uint8_t flags[2];

	diag->state = msg->idiag_state;
	diag->id = msg->id;
	diag->has_ulp = sockdiag_find(attrs, size, INET_DIAG_ULP_INFO);
	diag->has_keys = sockdiag_find(attrs, size, INET_DIAG_MD5SIG);
	diag->has_memory = attr_get(attrs, size, INET_DIAG_SKMEMINFO, memory, sizeof(memory));
	if (diag->has_memory) {
		diag->sndbuf = memory[SK_MEMINFO_SNDBUF];
		diag->rcvbuf = memory[SK_MEMINFO_RCVBUF];
	}
	diag->has_mark = attr_get(attrs, size, INET_DIAG_MARK, &diag->mark, sizeof(diag->mark));
	diag->has_tos = attr_get(attrs, size, INET_DIAG_TOS, &diag->tos, sizeof(diag->tos));
	diag->has_flags = attr_get(attrs, size, INET_DIAG_SOCKOPT, flags, sizeof(flags));
	diag->has_v6only =
		attr_get(attrs, size, INET_DIAG_SKV6ONLY, &diag->v6only, sizeof(diag->v6only));
	if (diag->has_flags)
		diag->flags = (uint32_t)flags[0] | (uint32_t)flags[1] << 8;
	if (attr_get(attrs, size, INET_DIAG_INFO, &info,
	             offsetof(struct tcp_info, tcpi_bytes_acked)))
		diag->max_pacing_rate = info.tcpi_max_pacing_rate;
	if (name && sockdiag_size(name) <= sizeof(diag->congestion))
		memcpy(diag->congestion, sockdiag_data(name),
		       strnlen(sockdiag_data(name), sockdiag_size(name)));
}

static int sock_take(const struct inet_diag_msg *msg, const struct nlattr *attrs, size_t size,
                     void *arg)
{
	const struct listing *l = arg;
	const struct file *f = file_by_inode(l->d, l->diags->dev, msg->idiag_inode);

	if (f && f->id < l->diags->n)
		diag_fill(&l->diags->all[f->id], msg, attrs, size);
	return 0;
}

/* Those that have a peer, or wait for one. */
static void list(struct dump *d, int family)
{
	const uint32_t states = 1 << ESTABLISHED | 1 << SYN_SENT | 1 << FIN_WAIT1 | 1 << FIN_WAIT2 |
	                        1 << CLOSE_WAIT | 1 << LAST_ACK | 1 << LISTENING | 1 << CLOSING;

	inetdiag_each(family, IPPROTO_TCP, states, WITH, sock_take,
	              &(struct listing){ d, d->tcp_diags });
}

static struct tcp_diags *diags_of(struct dump *d, const struct file *f)
{
	struct tcp_diags *diags = d->tcp_diags;

	if (diags && diags->frozen == d->frozen)
		return diags;
	tcp_diag_forget(d);
	diags = calloc(1, sizeof(*diags));
	if (!diags)
		return NULL;
	diags->frozen = d->frozen;
	diags->dev = f->st.st_dev;
	diags->n = d->files.n + 1;
	diags->all = calloc(diags->n, sizeof(*diags->all));
	return d->tcp_diags = diags;
}

const struct tcp_diag *tcp_diag_find(struct dump *d, const struct file *f)
{
	struct tcp_diags *diags = diags_of(d, f);
	bool *listed;

	if (!diags || !diags->all || f->sock.protocol != IPPROTO_TCP)
		return NULL;
	listed = f->sock.family == AF_INET ? &diags->v4 : &diags->v6;
	if (!*listed)
		list(d, f->sock.family);
	*listed = true;
	return f->id < diags->n && diags->all[f->id].state ? &diags->all[f->id] : NULL;
}

int tcp_keys_refuse(struct dump *d)
{
	array_each (f, &d->files) {
		const struct tcp_diag *diag = f->kind == KIND_sk_tcp && f->policy == FD_CARRY
		                                      ? tcp_diag_find(d, f)
		                                      : NULL;

		if (diag && diag->has_keys)
			return fail(-ENOTSUP,
			            "%s (%s): has keys that sign its packets (TCP_MD5SIG): not "
			            "supported by this version",
			            file_name(f), file_describe(f));
	}
	return 0;
}

void tcp_diag_forget(struct dump *d)
{
	if (d->tcp_diags)
		free(d->tcp_diags->all);
	free(d->tcp_diags);
	d->tcp_diags = NULL;
}

/* ---- options ---- */

static int put(void *value, const void *from, size_t size)
{
	memcpy(value, from, size);
	return (int)size;
}

static int put_int(void *value, bool known, int v)
{
	return known ? put(value, &v, sizeof(v)) : -ENODATA;
}

static int socket_option(const struct tcp_diag *diag, uint32_t name, void *value)
{
	switch (name) {
	case SO_SNDBUF:
		return put_int(value, diag->has_memory, (int)diag->sndbuf);
	case SO_RCVBUF:
		return put_int(value, diag->has_memory, (int)diag->rcvbuf);
	case SO_MARK:
		return put_int(value, diag->has_mark, (int)diag->mark);
	case SO_BINDTODEVICE:
		return diag->id.idiag_if ? -ENODATA : 0;
	case SO_MAX_PACING_RATE:
		return diag->max_pacing_rate ? put(value, &diag->max_pacing_rate, sizeof(uint64_t))
		                             : -ENODATA;
	default:
		return -ENODATA;
	}
}

static int ip_option(const struct tcp_diag *diag, uint32_t name, void *value)
{
	static const struct {
		uint32_t name, flag;
	} flags[] = {
		{ IP_RECVERR, FLAG_RECVERR },
		{ IP_FREEBIND, FLAG_FREEBIND },
		{ IP_HDRINCL, FLAG_HDRINCL },
		{ IP_MULTICAST_LOOP, FLAG_MC_LOOP },
		{ IP_TRANSPARENT, FLAG_TRANSPARENT },
		{ IP_MULTICAST_ALL, FLAG_MC_ALL },
		{ IP_NODEFRAG, FLAG_NODEFRAG },
		{ IP_BIND_ADDRESS_NO_PORT, FLAG_BIND_ADDRESS_NO_PORT },
		{ 26 /* IP_RECVERR_RFC4884 */, FLAG_RECVERR_RFC4884 },
	};

	if (name == IP_TOS)
		return put_int(value, diag->has_tos, diag->tos);
	for (size_t i = 0; i < ARRAY_SIZE(flags); i++)
		if (flags[i].name == name)
			return put_int(value, diag->has_flags, !!(diag->flags & flags[i].flag));
	return -ENODATA;
}

static int ipv6_option(const struct tcp_diag *diag, uint32_t name, void *value)
{
	switch (name) {
	case IPV6_V6ONLY:
		return put_int(value, diag->has_v6only, diag->v6only);
	case IPV6_TRANSPARENT:
		return put_int(value, diag->has_flags, !!(diag->flags & FLAG_TRANSPARENT));
	case IPV6_FREEBIND:
		return put_int(value, diag->has_flags, !!(diag->flags & FLAG_FREEBIND));
	default:
		return -ENODATA;
	}
}

static int tcp_option(const struct tcp_diag *diag, uint32_t name, void *value)
{
	if (name == TCP_ULP && !diag->has_ulp)
		return -ENOENT;
	return name == TCP_CONGESTION && *diag->congestion
	               ? put(value, diag->congestion, sizeof(diag->congestion))
	               : -ENODATA;
}

static int diag_option(const struct tcp_diag *diag, uint32_t level, uint32_t name, void *value)
{
	switch (level) {
	case SOL_SOCKET:
		return socket_option(diag, name, value);
	case IPPROTO_IP:
		return ip_option(diag, name, value);
	case IPPROTO_IPV6:
		return ipv6_option(diag, name, value);
	case IPPROTO_TCP:
		return tcp_option(diag, name, value);
	default:
		return -ENODATA;
	}
}

static bool of_datagrams(uint32_t level, uint32_t name)
{
	return (level == IPPROTO_IP && (name == IP_MULTICAST_TTL || name == IP_MULTICAST_IF)) ||
	       (level == IPPROTO_IPV6 &&
	        (name == IPV6_MULTICAST_HOPS || name == IPV6_MULTICAST_IF));
}

int tcp_sock_option(const void *arg, uint32_t level, uint32_t name, void *value)
{
	if (of_datagrams(level, name))
		return -ENOENT;
	return arg ? diag_option(arg, level, name, value) : -ENODATA;
}

int tcp_conn_option(const void *arg, uint32_t level, uint32_t name, void *value)
{
	if (level == IPPROTO_TCP && (name == TCP_MAXSEG || name == TCP_WINDOW_CLAMP))
		return -ENOENT;
	return tcp_sock_option(arg, level, name, value);
}
