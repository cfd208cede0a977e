/*
 * One netlink dump for each family, kept by inode: what it tells of a connection saves some thirty
 * system calls. TCP_MD5SIG is told by it alone, to who has CAP_NET_ADMIN (without it there is no lock either).
 * While the tree runs only the states are of interest.
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
#define WITH                                                                                     \
	EXT(INET_DIAG_INFO) | EXT(INET_DIAG_CONG) | EXT(INET_DIAG_TOS) | EXT(INET_DIAG_TCLASS) | \
		EXT(INET_DIAG_SKMEMINFO)

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

/* What is listed of a family. */
struct listing {
	bool done;
	ARRAY(struct tcp_diag) all;
	uint32_t *slots; /* by inode: place in all + 1; 0: free */
	size_t mask;
};

struct tcp_diags {
	bool frozen; /* when they were listed */
	struct listing v4, v6;
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
	uint32_t memory[SK_MEMINFO_OPTMEM + 1], class;
	struct tcp_info info;
	uint8_t flags[2];

	*diag = (struct tcp_diag){ .ino = msg->idiag_inode,
		                   .family = msg->idiag_family,
		                   .state = msg->idiag_state,
		                   .id = msg->id };
	diag->has_ulp = sockdiag_find(attrs, size, INET_DIAG_ULP_INFO);
	diag->has_keys = sockdiag_find(attrs, size, INET_DIAG_MD5SIG);
	diag->has_memory = attr_get(attrs, size, INET_DIAG_SKMEMINFO, memory, sizeof(memory));
	if (diag->has_memory) {
		diag->sndbuf = memory[SK_MEMINFO_SNDBUF];
		diag->rcvbuf = memory[SK_MEMINFO_RCVBUF];
		diag->has_none_charged = !memory[SK_MEMINFO_OPTMEM];
	}
	diag->has_mark = attr_get(attrs, size, INET_DIAG_MARK, &diag->mark, sizeof(diag->mark));
	diag->has_tos = attr_get(attrs, size, INET_DIAG_TOS, &diag->tos, sizeof(diag->tos));
	/* A class of its cgroup (net_cls) hides the priority. */
	diag->has_no_priority =
		attr_get(attrs, size, INET_DIAG_CLASS_ID, &class, sizeof(class)) && !class;
	diag->has_flags = attr_get(attrs, size, INET_DIAG_SOCKOPT, flags, sizeof(flags));
	diag->has_v6only =
		attr_get(attrs, size, INET_DIAG_SKV6ONLY, &diag->v6only, sizeof(diag->v6only));
	if (diag->has_flags)
		diag->flags = (uint32_t)flags[0] | (uint32_t)flags[1] << 8;
	diag->has_tclass =
		attr_get(attrs, size, INET_DIAG_TCLASS, &diag->tclass, sizeof(diag->tclass));
	if (attr_get(attrs, size, INET_DIAG_INFO, &info,
	             offsetof(struct tcp_info, tcpi_bytes_acked)))
		diag->max_pacing_rate = info.tcpi_max_pacing_rate;
	if (name && sockdiag_size(name) <= sizeof(diag->congestion))
		memcpy(diag->congestion, sockdiag_data(name),
		       strnlen(sockdiag_data(name), sockdiag_size(name)));
}

/* One that no descriptor is open on, or that waits to be accepted, has no inode. */
static int sock_take(const struct inet_diag_msg *msg, const struct nlattr *attrs, size_t size,
                     void *arg)
{
	struct listing *l = arg;
	struct tcp_diag *diag = msg->idiag_inode ? array_add(&l->all) : NULL;

	if (diag)
		diag_fill(diag, msg, attrs, size);
	return 0;
}

static size_t slot_of(const struct listing *l, ino_t ino)
{
	size_t at = (uint32_t)ino * 0x9e3779b1u & l->mask;

	while (l->slots[at] && l->all.v[l->slots[at] - 1].ino != ino)
		at = (at + 1) & l->mask;
	return at;
}

/* Without memory for it nothing is known. */
static void index_all(struct listing *l)
{
	size_t n = 64;

	while (n < l->all.n * 2)
		n *= 2;
	l->slots = calloc(n, sizeof(*l->slots));
	l->mask = n - 1;
	for (size_t i = 0; l->slots && i < l->all.n; i++)
		l->slots[slot_of(l, l->all.v[i].ino)] = (uint32_t)i + 1;
}

/* Those that have a peer, or wait for one. */
static const struct listing *list(struct tcp_diags *diags, int family)
{
	const uint32_t states = 1 << ESTABLISHED | 1 << SYN_SENT | 1 << FIN_WAIT1 | 1 << FIN_WAIT2 |
	                        1 << CLOSE_WAIT | 1 << LAST_ACK | 1 << LISTENING | 1 << CLOSING;
	struct listing *l = family == AF_INET ? &diags->v4 : &diags->v6;

	if (!l->done) {
		inetdiag_each(family, IPPROTO_TCP, states, diags->frozen ? WITH : 0, sock_take, l);
		index_all(l);
	}
	l->done = true;
	return l;
}

static struct tcp_diags *diags_of(struct dump *d)
{
	struct tcp_diags *diags = d->tcp_diags;

	if (diags && diags->frozen == d->frozen)
		return diags;
	tcp_diag_forget(d);
	diags = calloc(1, sizeof(*diags));
	if (diags)
		diags->frozen = d->frozen;
	return d->tcp_diags = diags;
}

static const struct tcp_diag *by_inode(const struct listing *l, ino_t ino)
{
	uint32_t at = l->slots ? l->slots[slot_of(l, ino)] : 0;

	return at ? &l->all.v[at - 1] : NULL;
}

void tcp_diag_list(struct dump *d)
{
	struct tcp_diags *diags = diags_of(d);

	if (!diags)
		return;
	list(diags, AF_INET);
	list(diags, AF_INET6);
}

/* A subflow of MPTCP, which is another protocol upon TCP, has the inode of the whole. */
bool tcp_diag_knows(const struct dump *d, struct file *f)
{
	const struct tcp_diags *diags = d->tcp_diags;
	const struct tcp_diag *diag = NULL;

	if (diags && diags->frozen == d->frozen)
		diag = by_inode(&diags->v4, f->st.st_ino);
	if (diags && diags->frozen == d->frozen && !diag)
		diag = by_inode(&diags->v6, f->st.st_ino);
	if (!diag || diag->has_ulp)
		return false;
	f->sock.family = diag->family;
	f->sock.type = SOCK_STREAM;
	f->sock.protocol = IPPROTO_TCP;
	return true;
}

const struct tcp_diag *tcp_diag_find(struct dump *d, const struct file *f)
{
	struct tcp_diags *diags = f->sock.protocol == IPPROTO_TCP ? diags_of(d) : NULL;

	return diags ? by_inode(list(diags, f->sock.family), f->st.st_ino) : NULL;
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

static void listing_done(struct listing *l)
{
	array_done(&l->all);
	free(l->slots);
}

void tcp_diag_forget(struct dump *d)
{
	if (d->tcp_diags) {
		listing_done(&d->tcp_diags->v4);
		listing_done(&d->tcp_diags->v6);
	}
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
	case SO_PRIORITY:
		return put_int(value, diag->has_no_priority, 0);
	case SO_ATTACH_FILTER: /* it would be charged to the socket */
		return diag->has_none_charged ? -ENOENT : -ENODATA;
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
	case IPV6_TCLASS:
		return put_int(value, diag->has_tclass, diag->tclass);
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

/* Streams are refused them. */
static bool of_datagrams(uint32_t level, uint32_t name)
{
	return (level == IPPROTO_IP && (name == IP_MULTICAST_TTL || name == IP_MULTICAST_IF ||
	                                name == IP_ROUTER_ALERT || name == IP_RECVFRAGSIZE)) ||
	       (level == IPPROTO_IPV6 &&
	        (name == IPV6_MULTICAST_HOPS || name == IPV6_MULTICAST_IF));
}

/* Of a stream the kernel gives at once whatever of its last packet the program wants to be told. */
static bool gives_nothing(int fd, int level, int name)
{
	char control[256];
	socklen_t len = sizeof(control);

	return getsockopt(fd, level, name, control, &len) == 0 && len == 0;
}

struct tcp_told tcp_told_of(const struct tcp_diag *diag, const struct file *f, int fd)
{
	return (struct tcp_told){
		.diag = diag,
		.no_control = gives_nothing(fd, IPPROTO_IP, IP_PKTOPTIONS),
		.no_control6 = f->sock.family == AF_INET6 &&
		               gives_nothing(fd, IPPROTO_IPV6, IPV6_2292PKTOPTIONS),
	};
}

/* Of these it gives nothing as long as they are not set. */
static bool is_control(uint32_t name)
{
	return name == IP_PKTINFO || name == IP_RECVTTL || name == IP_RECVTOS;
}

static bool is_control6(uint32_t name)
{
	return name == IPV6_RECVPKTINFO || name == IPV6_2292PKTINFO || name == IPV6_RECVHOPLIMIT ||
	       name == IPV6_2292HOPLIMIT || name == IPV6_RECVTCLASS;
}

int tcp_sock_option(const void *arg, uint32_t level, uint32_t name, void *value)
{
	const struct tcp_told *told = arg;

	if (of_datagrams(level, name))
		return -ENOENT;
	if ((told->no_control && level == IPPROTO_IP && is_control(name)) ||
	    (told->no_control6 && level == IPPROTO_IPV6 && is_control6(name)))
		return put_int(value, true, 0);
	return told->diag ? diag_option(told->diag, level, name, value) : -ENODATA;
}

int tcp_conn_option(const void *arg, uint32_t level, uint32_t name, void *value)
{
	if (level == IPPROTO_TCP && (name == TCP_MAXSEG || name == TCP_WINDOW_CLAMP))
		return -ENOENT;
	return tcp_sock_option(arg, level, name, value);
}
