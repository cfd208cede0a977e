/* lib/sockopt.def: no option that the headers name or the kernel answers is missing */
#include "lib/sockopt.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include "unit.h"

/* Names for what is there already. */
static const char *const synonyms[] = { "SO_GET_FILTER",       "SO_DETACH_BPF",
	                                "SO_TIMESTAMP_OLD",    "SO_TIMESTAMPNS_OLD",
	                                "SO_TIMESTAMPING_OLD", "SO_RCVTIMEO_OLD",
	                                "SO_SNDTIMEO_OLD" };

static bool is_synonym(const char *name)
{
	for (size_t i = 0; i < sizeof(synonyms) / sizeof(*synonyms); i++)
		if (!strcmp(name, synonyms[i]))
			return true;
	return false;
}

/* Every "#define SO_X n" of that header. */
TEST(every_option_of_the_headers_has_a_line)
{
	FILE *f = fopen("/usr/include/asm-generic/socket.h", "r");
	char line[256], name[64];
	unsigned number, seen = 0;

	if (!f)
		skip("there is no asm-generic/socket.h");
	while (fgets(line, sizeof(line), f)) {
		const struct sockopt *o;

		if (sscanf(line, "#define %63[A-Z0-9_] %u", name, &number) != 2 ||
		    strncmp(name, "SO_", 3) != 0 || is_synonym(name))
			continue;
		o = sockopt_find(SOL_SOCKET, number);
		if (!o || strcmp(o->text, name) != 0)
			printf("# %s %u: %s\n", name, number, o ? o->text : "no line");
		check(o && !strcmp(o->text, name));
		seen++;
	}
	check(seen > 50);
}

/* Every option that this kernel answers to, which may be newer than the headers. */
TEST(every_option_of_the_kernel_has_a_line)
{
	static const int kinds[][2] = { { AF_UNIX, SOCK_STREAM },
		                        { AF_INET, SOCK_STREAM },
		                        { AF_INET, SOCK_DGRAM },
		                        { AF_NETLINK, SOCK_RAW } };
	unsigned seen = 0;

	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		int fd = socket(kinds[i][0], kinds[i][1], 0);

		for (int name = 0; fd >= 0 && name < 1024; name++) {
			char value[64];
			socklen_t len = sizeof(value);

			if (getsockopt(fd, SOL_SOCKET, name, value, &len) < 0 &&
			    errno == ENOPROTOOPT)
				continue;
			if (!sockopt_find(SOL_SOCKET, (uint32_t)name))
				printf("# SOL_SOCKET %d has no line\n", name);
			check(sockopt_find(SOL_SOCKET, (uint32_t)name));
			seen++;
		}
		close(fd);
	}
	check(seen > 100);
}

/* ---- the other levels ---- */

/* Their headers name more than options: values, flags, protocols. Those are told by what their names begin with. */
static const char *const not_options[] = { "IP_PMTUDISC_",     "IPV6_PMTUDISC_",
	                                   "IP_DEFAULT_",      "MCAST_EXCLUDE",
	                                   "MCAST_INCLUDE",    "IPV6_FL_",
	                                   "IPV6_TLV_",        "IPV6_PREFER_SRC_",
	                                   "TCP_REPAIR_O",     "TCP_MD5SIG_MAXKEYLEN",
	                                   "UDP_ENCAP_",       "TCP_ENCAP_",
	                                   "PACKET_HOST",      "PACKET_BROAD",
	                                   "PACKET_MULTICAST", "PACKET_OTHER",
	                                   "PACKET_OUT",       "PACKET_LOOPBACK",
	                                   "PACKET_USER",      "PACKET_KERNEL",
	                                   "PACKET_FAST",      "PACKET_FANOUT_",
	                                   "PACKET_MR_",       "TCP_RECEIVE_",
	                                   "TCP_AO_KEYF_",     "TCP_MD5SIG_F",
	                                   "TCP_MSS_DE",       "IPV6_FLOWINFO_",
	                                   "IPV6_PRIORITY_",   "NETLINK_UNUSED",
	                                   "NETLINK_INET_",    "TCP_AO_MAXKEYLEN",
	                                   "IP_ORIGDSTADDR",   "IPV6_ORIGDSTADDR" };

static bool is_option(const char *name)
{
	for (size_t i = 0; i < sizeof(not_options) / sizeof(*not_options); i++)
		if (!strncmp(name, not_options[i], strlen(not_options[i])) &&
		    strcmp(name, "PACKET_FANOUT_DATA") != 0)
			return false;
	return true;
}

/* Every "#define PREFIXname number" of HEADER but for what is none; from FIRST on. */
static unsigned header_compare(const char *header, const char *prefix, uint32_t level,
                               const char *first)
{
	FILE *f = fopen(header, "r");
	char line[256], name[64];
	unsigned number, seen = 0;
	bool begun = !first;

	while (f && fgets(line, sizeof(line), f)) {
		const struct sockopt *o;

		if (sscanf(line, "# define %63[A-Z0-9_] %u", name, &number) != 2 &&
		    sscanf(line, "#define %63[A-Z0-9_] %u", name, &number) != 2)
			continue;
		begun |= first && !strcmp(name, first);
		if (!begun || strncmp(name, prefix, strlen(prefix)) != 0 || !is_option(name))
			continue;
		o = sockopt_find(level, number);
		if (!o || strcmp(o->text, name) != 0)
			printf("# %s: %s %u: %s\n", header, name, number, o ? o->text : "no line");
		check(o && !strcmp(o->text, name));
		seen++;
	}
	if (f)
		fclose(f);
	return seen;
}

TEST(every_option_of_other_levels_in_the_headers_has_a_line)
{
	check(header_compare("/usr/include/linux/tcp.h", "TCP_", IPPROTO_TCP, NULL) > 30);
	check(header_compare("/usr/include/linux/in.h", "IP_", IPPROTO_IP, NULL) > 30);
	check(header_compare("/usr/include/linux/in.h", "MCAST_", IPPROTO_IP, NULL) == 7);
	check(header_compare("/usr/include/linux/in6.h", "IPV6_", IPPROTO_IPV6, NULL) > 45);
	check(header_compare("/usr/include/linux/udp.h", "UDP_", IPPROTO_UDP, NULL) > 5);
	check(header_compare("/usr/include/linux/netlink.h", "NETLINK_", SOL_NETLINK,
	                     "NETLINK_ADD_MEMBERSHIP") > 10);
	check(header_compare("/usr/include/linux/if_packet.h", "PACKET_", SOL_PACKET, NULL) > 20);
	check(header_compare("/usr/include/linux/vm_sockets.h", "SO_VM_SOCKETS_", AF_VSOCK, NULL) >
	      6);
}

/* What a new socket of that kind answers to at that level, names FIRST to LAST. */
static void kernel_compare(int family, int type, int protocol, int level, int first, int last)
{
	int fd = socket(family, type, protocol);

	for (int name = first; fd >= 0 && name <= last; name++) {
		char value[SOCKOPT_MAX];
		socklen_t len = sizeof(value);

		if (getsockopt(fd, level, name, value, &len) < 0 &&
		    (errno == ENOPROTOOPT || errno == EOPNOTSUPP))
			continue;
		if (!sockopt_find((uint32_t)level, (uint32_t)name))
			printf("# level %d, name %d has no line\n", level, name);
		check(sockopt_find((uint32_t)level, (uint32_t)name));
	}
	if (fd >= 0)
		close(fd);
}

/* From 64 on there are those of netfilter, too, from 200 on those of multicast routers. */
TEST(every_option_of_other_levels_in_the_kernel_has_a_line)
{
	kernel_compare(AF_INET, SOCK_STREAM, 0, IPPROTO_TCP, 0, 199);
	kernel_compare(AF_INET, SOCK_STREAM, 0, IPPROTO_IP, 0, 63);
	kernel_compare(AF_INET, SOCK_DGRAM, 0, IPPROTO_IP, 0, 63);
	kernel_compare(AF_INET6, SOCK_STREAM, 0, IPPROTO_IPV6, 0, 63);
	kernel_compare(AF_INET6, SOCK_DGRAM, 0, IPPROTO_IPV6, 0, 63);
	kernel_compare(AF_INET6, SOCK_DGRAM, 0, IPPROTO_IPV6, 70, 79);
	kernel_compare(AF_INET, SOCK_DGRAM, 0, IPPROTO_UDP, 0, 9); /* 10 and 11 are of UDP-Lite */
	kernel_compare(AF_INET, SOCK_DGRAM, 0, IPPROTO_UDP, 12, 199);
	kernel_compare(AF_INET, SOCK_DGRAM, IPPROTO_UDPLITE, IPPROTO_UDPLITE, 10, 99);
	kernel_compare(AF_NETLINK, SOCK_RAW, 0, SOL_NETLINK, 0, 99);
	kernel_compare(AF_PACKET, SOCK_RAW, 0, SOL_PACKET, 0, 99);
	kernel_compare(AF_VSOCK, SOCK_STREAM, 0, AF_VSOCK, 0, 99);
}

TEST(no_option_has_two_lines)
{
	for (size_t i = 0; i < nsockopts; i++)
		check(sockopt_find(sockopts[i].level, sockopts[i].name) == &sockopts[i]);
}

/* Whatever is carried has the size that the table says. */
TEST(values_have_the_size_of_their_type)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	check(fd >= 0);
	for (size_t i = 0; i < nsockopts; i++) {
		char value[SOCKOPT_MAX];
		socklen_t len = sizeof(value);

		if (sockopts[i].level != SOL_SOCKET || !sockopt_carried(&sockopts[i]) ||
		    sockopts[i].how == HOW_FILTER ||
		    getsockopt(fd, SOL_SOCKET, (int)sockopts[i].name, value, &len) < 0)
			continue;
		check(sockopt_fits(sockopts[i].type, len));
	}
}
