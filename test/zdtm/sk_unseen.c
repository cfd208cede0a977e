/*
 * What no call tells of sockets: sk_unseen KIND
 *
 *	udp tcp         a program of BPF chooses among the sockets of a port, by their numbers
 *	ebpf            the same of eBPF
 *	filter          an eBPF program filters what a unix socket receives
 *	swapped         their numbers are in another order than they were made
 *	device NAME IP  multicasts leave by the interface of that name and address
 *	sticky NAME     packets of IPv6 leave by that interface (IPV6_PKTINFO), no larger than so much (IPV6_MTU)
 *	leased NAME IP  a flow label, an anycast address on that interface, a policy of IPsec, if there may be one
 *	repair          a connection that the program itself has in repair mode
 *	syn             the packet that a connection began with (TCP_SAVED_SYN)
 */
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/filter.h>
#include <net/if.h>
#include <netinet/tcp.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "udp.h"

#include <linux/xfrm.h> /* behind netinet/in.h, which has the same structures */

#ifndef SO_ATTACH_REUSEPORT_EBPF
#define SO_ATTACH_REUSEPORT_EBPF 52
#endif
#ifndef TCP_SAVE_SYN
#define TCP_SAVE_SYN  27
#define TCP_SAVED_SYN 28
#endif

#define MEMBERS 3

static struct in6_addr host6(const char *text)
{
	return addr_of(text, 0).v6.sin6_addr;
}

/* ---- a program that chooses ---- */

static int member(int type)
{
	int fd = socket(AF_INET, type, 0);

	check(fd >= 0);
	set(fd, SOL_SOCKET, SO_REUSEPORT, 1);
	return fd;
}

/* To the one whose number is the first byte, in digits; who begins a connection, to the second. */
static void choose(int fd, bool by_content)
{
	struct sock_filter insns[] = {
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 0),
		BPF_STMT(BPF_ALU | BPF_SUB | BPF_K, '0'),
		BPF_STMT(BPF_RET | BPF_A, 0),
		BPF_STMT(BPF_RET | BPF_K, 1),
	};
	struct sock_fprog program = { by_content ? 3 : 1, by_content ? insns : insns + 3 };

	check(setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &program, sizeof(program)) == 0);
	check(setsockopt(fd, SOL_SOCKET, SO_LOCK_FILTER, &(int){ 1 }, sizeof(int)) == 0);
}

static void attach_ebpf(int fd, int name)
{
	const struct bpf_insn insns[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	union bpf_attr attr = { .prog_type = BPF_PROG_TYPE_SOCKET_FILTER,
		                .insns = (uintptr_t)insns,
		                .insn_cnt = 2,
		                .license = (uintptr_t) "MIT" };
	int program = (int)syscall(SYS_bpf, BPF_PROG_LOAD, &attr, sizeof(attr));

	if (program < 0)
		_exit(77);
	check(setsockopt(fd, SOL_SOCKET, name, &program, sizeof(program)) == 0);
	close(program);
}

static void udp(bool swapped, bool ebpf)
{
	int fds[MEMBERS], sender = make();
	char text[] = "0";

	for (int i = 0; i < MEMBERS; i++)
		fds[i] = member(SOCK_DGRAM);
	bind_to(fds[swapped], host(), 0);
	bind_to(fds[!swapped], host(), port_of(fds[swapped]));
	bind_to(fds[2], host(), port_of(fds[0]));
	if (ebpf)
		attach_ebpf(fds[0], SO_ATTACH_REUSEPORT_EBPF);
	else
		choose(fds[0], true);

	zdtm_park();

	for (int i = MEMBERS - 1; i >= 0; i--) {
		*text = (char)('0' + i);
		send_to(sender, host(), port_of(fds[0]), text);
		got(fds[i], text, host(), port_of(sender));
	}
	check(get(fds[0], SOL_SOCKET, SO_LOCK_FILTER) == !ebpf);
}

static void tcp(void)
{
	int fds[MEMBERS], bound = member(SOCK_STREAM);

	for (int i = 0; i < MEMBERS; i++) {
		fds[i] = member(SOCK_STREAM);
		bind_to(fds[i], host(), i ? port_of(fds[0]) : 0);
		check(listen(fds[i], 5) == 0);
	}
	choose(fds[2], false);
	choose(bound, false); /* nobody is to be chosen of yet */

	zdtm_park();

	for (int i = 0; i < 8; i++) {
		int client = socket(AF_INET, SOCK_STREAM, 0);

		connect_to(client, host(), port_of(fds[0]));
		check(accept(fds[1], NULL, NULL) >= 0);
	}
}

/* ---- datagrams ---- */

/* A connected socket has the address that its packets leave from. */
static void multicast(const char *name, const char *from)
{
	struct ip_mreqn by = { .imr_ifindex = (int)if_nametoindex(name) };
	struct addr own = { .len = sizeof(own.v4) };
	int fd = make();

	check(setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &by, sizeof(by)) == 0);

	zdtm_park();

	connect_to(fd, "239.1.2.3", 9);
	check(getsockname(fd, &own.sa, &own.len) == 0);
	check(own.v4.sin_addr.s_addr == addr_of(from, 0).v4.sin_addr.s_addr);
}

static void sticky(const char *name)
{
	struct in6_pktinfo info = { .ipi6_ifindex = if_nametoindex(name) };
	static char large[2000];
	struct addr to;
	int fds[2], other;

	six = true;
	fds[0] = bound_at("::"), fds[1] = bound_at("::"), other = bound_at("::1");
	check(setsockopt(fds[0], IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof(info)) == 0);
	set(fds[1], IPPROTO_IPV6, IPV6_MTU, 1280);
	set(fds[1], IPPROTO_IPV6, IPV6_DONTFRAG, 1);
	setsockopt(fds[1], SOL_SOCKET, 70 /* SO_BUSY_POLL_BUDGET */, &(int){ 32 }, sizeof(int));

	zdtm_park();

	to = addr_of("::1", port_of(other));
	check(sendto(fds[0], "x", 1, 0, &to.sa, to.len) < 0 && errno == ENETUNREACH);
	send_to(fds[1], "::1", port_of(other), "x");
	got(other, "x", "::1", port_of(fds[1]));
	check(sendto(fds[1], large, sizeof(large), 0, &to.sa, to.len) < 0 && errno == EMSGSIZE);
}

#define LABEL 0x12345

static void lease(int fd)
{
	const struct { /* in6_flowlabel_req */
		struct in6_addr dst;
		uint32_t label;
		uint8_t action, share;
		uint16_t flags, expires, linger;
		uint32_t pad;
	} any = { .dst = host6("::1"), .label = htonl(LABEL), .share = 255, .flags = 1 };

	check(setsockopt(fd, IPPROTO_IPV6, 32 /* IPV6_FLOWLABEL_MGR */, &any, sizeof(any)) == 0);
}

static void filter(void)
{
	int ends[2];

	check(socketpair(AF_UNIX, SOCK_DGRAM, 0, ends) == 0);
	attach_ebpf(ends[0], SO_ATTACH_BPF);
	zdtm_park();
}

/* One who uses a label that it has leased. */
static void connect_labelled(void)
{
	int listener = socket(AF_INET6, SOCK_STREAM, 0), fd = socket(AF_INET6, SOCK_STREAM, 0);
	struct addr to;

	lease(fd);
	set(fd, IPPROTO_IPV6, 33 /* IPV6_FLOWINFO_SEND */, 1);
	check(listen(listener, 1) == 0);
	to = addr_of(host(), port_of(listener));
	to.v6.sin6_flowinfo = htonl(LABEL);
	check(connect(fd, &to.sa, to.len) == 0);
	check(accept(listener, NULL, NULL) >= 0);
}

static void leased(const char *name, const char *anycast)
{
	const struct xfrm_userpolicy_info policy = {
		.sel = { .family = AF_INET6 },
		.lft = { .soft_byte_limit = XFRM_INF,
		         .hard_byte_limit = XFRM_INF,
		         .soft_packet_limit = XFRM_INF,
		         .hard_packet_limit = XFRM_INF },
		.dir = XFRM_POLICY_OUT,
	};
	struct ipv6_mreq join = { host6(anycast), if_nametoindex(name) };
	int fds[2];

	six = true;
	fds[0] = make(), fds[1] = make();
	lease(fds[0]);
	connect_labelled();
	check(setsockopt(fds[1], IPPROTO_IPV6, IPV6_JOIN_ANYCAST, &join, sizeof(join)) == 0);
	if (setsockopt(fds[1], IPPROTO_IPV6, IPV6_XFRM_POLICY, &policy, sizeof(policy)) == 0)
		close(open("policy", O_CREAT | O_RDWR, 0600));

	zdtm_park();
}

/* ---- a connection ---- */

static void syn(void)
{
	char packet[256];
	socklen_t len = sizeof(packet);
	int listener = member(SOCK_STREAM), client = member(SOCK_STREAM), fd;

	set(listener, IPPROTO_TCP, TCP_SAVE_SYN, 1);
	bind_to(listener, host(), 0);
	check(listen(listener, 1) == 0);
	connect_to(client, host(), port_of(listener));
	fd = accept(listener, NULL, NULL);
	check(fd >= 0);

	zdtm_park();

	check(getsockopt(fd, IPPROTO_TCP, TCP_SAVED_SYN, packet, &len) == 0 && len >= 40);
}

static void repair(void)
{
	int listener = member(SOCK_STREAM), client = member(SOCK_STREAM);

	check(listen(listener, 1) == 0);
	connect_to(client, host(), port_of(listener));
	check(accept(listener, NULL, NULL) >= 0);
	set(client, IPPROTO_TCP, TCP_REPAIR, 1);

	zdtm_park();

	check(get(client, IPPROTO_TCP, TCP_REPAIR) == 1);
}

int main(int argc, char **argv)
{
	const char *kind = argc > 1 ? argv[1] : "";

	if (!strcmp(kind, "udp") || !strcmp(kind, "swapped") || !strcmp(kind, "ebpf"))
		udp(!strcmp(kind, "swapped"), !strcmp(kind, "ebpf"));
	else if (!strcmp(kind, "tcp"))
		tcp();
	else if (!strcmp(kind, "device") && argc == 4)
		multicast(argv[2], argv[3]);
	else if (!strcmp(kind, "sticky") && argc == 3)
		sticky(argv[2]);
	else if (!strcmp(kind, "leased") && argc == 4)
		leased(argv[2], argv[3]);
	else if (!strcmp(kind, "syn"))
		syn();
	else if (!strcmp(kind, "filter"))
		filter();
	else if (!strcmp(kind, "repair"))
		repair();
	else
		check(false);
	return zdtm_pass();
}
