/*
 * What a file is, in words, for messages about files that no room owns. The
 * link in /proc names the kind, and a socket is asked itself.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/vfs.h>

#include <linux/vm_sockets.h>

#include "dump/dump.h"
#include "lib/cleanup.h"

/* By the names that socket(2) and the kernel have for them. */
static const char *const families[] = {
	[AF_UNIX] = "unix",          [AF_INET] = "IPv4",
	[AF_INET6] = "IPv6",         [AF_NETLINK] = "netlink",
	[AF_PACKET] = "packet",      [AF_ALG] = "AF_ALG, kernel crypto",
	[AF_VSOCK] = "vsock",        [AF_AX25] = "AF_AX25",
	[AF_IPX] = "AF_IPX",         [AF_APPLETALK] = "AF_APPLETALK",
	[AF_X25] = "AF_X25",         [AF_KEY] = "AF_KEY, IPsec keys",
	[AF_RDS] = "AF_RDS",         [AF_PPPOX] = "AF_PPPOX, PPP or L2TP",
	[AF_LLC] = "AF_LLC",         [AF_IB] = "AF_IB, InfiniBand",
	[AF_MPLS] = "AF_MPLS",       [AF_CAN] = "AF_CAN",
	[AF_TIPC] = "AF_TIPC",       [AF_BLUETOOTH] = "Bluetooth",
	[AF_RXRPC] = "AF_RXRPC",     [AF_ISDN] = "AF_ISDN",
	[AF_PHONET] = "AF_PHONET",   [AF_IEEE802154] = "AF_IEEE802154",
	[AF_NFC] = "AF_NFC",         [AF_KCM] = "AF_KCM, kernel connection multiplexor",
	[AF_QIPCRTR] = "AF_QIPCRTR", [AF_SMC] = "AF_SMC",
	[AF_XDP] = "AF_XDP",         [45] = "AF_MCTP",
};

static const struct {
	int number;
	const char *name;
} protocols[] = {
	{ IPPROTO_TCP, "TCP" },     { IPPROTO_UDP, "UDP" },   { IPPROTO_UDPLITE, "UDP-Lite" },
	{ IPPROTO_SCTP, "SCTP" },   { IPPROTO_DCCP, "DCCP" }, { IPPROTO_ICMP, "ping" },
	{ IPPROTO_ICMPV6, "ping" }, { 262, "MPTCP" },         { 256, "SMC" },
	{ 115, "L2TP/IP" },
};

static const char *inet_protocol(int type, int protocol)
{
	for (size_t i = 0; type != SOCK_RAW && i < ARRAY_SIZE(protocols); i++)
		if (protocols[i].number == protocol)
			return protocols[i].name;
	return type == SOCK_RAW ? "raw" : "socket of an unknown protocol";
}

static const char *socket_protocol(int family, int type, int protocol)
{
	if (family == AF_UNIX || family == AF_VSOCK)
		return type == SOCK_STREAM  ? "stream"
		       : type == SOCK_DGRAM ? "datagram"
		                            : "seqpacket";
	return family == AF_INET || family == AF_INET6 ? inet_protocol(type, protocol) : "socket";
}

/* "1.2.3.4:80", "/run/x.sock", "@x"; "" when it has none. */
static void address_format(const struct sockaddr_storage *a, socklen_t len, char *buf, size_t size)
{
	const struct sockaddr_in *in = (const void *)a;
	const struct sockaddr_in6 *in6 = (const void *)a;
	const struct sockaddr_un *un = (const void *)a;
	const struct sockaddr_vm *vm = (const void *)a;
	char text[INET6_ADDRSTRLEN] = "";

	*buf = '\0';
	if (a->ss_family == AF_INET && inet_ntop(AF_INET, &in->sin_addr, text, sizeof(text)))
		snprintf(buf, size, "%s:%d", text, ntohs(in->sin_port));
	else if (a->ss_family == AF_INET6 &&
	         inet_ntop(AF_INET6, &in6->sin6_addr, text, sizeof(text)))
		snprintf(buf, size, "[%s]:%d", text, ntohs(in6->sin6_port));
	else if (a->ss_family == AF_VSOCK && vm->svm_port != VMADDR_PORT_ANY)
		snprintf(buf, size, "cid %u port %u", vm->svm_cid, vm->svm_port);
	else if (a->ss_family == AF_UNIX && len > sizeof(sa_family_t))
		snprintf(buf, size, "%s%.*s", un->sun_path[0] ? "" : "@",
		         (int)(len - sizeof(sa_family_t)) - !un->sun_path[0],
		         un->sun_path + !un->sun_path[0]);
}

static int socket_option(int fd, int option)
{
	int value = -1;
	socklen_t len = sizeof(value);

	return getsockopt(fd, SOL_SOCKET, option, &value, &len) < 0 ? -1 : value;
}

static void socket_describe(const struct file *f, char *buf, size_t size)
{
	auto_close int fd = file_steal(f);
	struct sockaddr_storage local = {}, peer = {};
	socklen_t local_len = sizeof(local), peer_len = sizeof(peer);
	char a[160] = "", b[160] = "";
	int family = socket_option(fd, SO_DOMAIN);
	const char *name =
		family >= 0 && (size_t)family < ARRAY_SIZE(families) ? families[family] : NULL;

	if (getsockname(fd, (struct sockaddr *)&local, &local_len) == 0)
		address_format(&local, local_len, a, sizeof(a));
	if (getpeername(fd, (struct sockaddr *)&peer, &peer_len) == 0)
		address_format(&peer, peer_len, b, sizeof(b));
	snprintf(
		buf, size, "%s %s%s%s%s%s", name ? name : "socket",
		socket_protocol(family, socket_option(fd, SO_TYPE), socket_option(fd, SO_PROTOCOL)),
		socket_option(fd, SO_ACCEPTCONN) > 0 ? ", listening on "
		: *a                                 ? ", "
						     : "",
		a, *b ? ", connected to " : "", b);
}

bool file_is_secret(const struct file *f)
{
	struct statfs fs;
	char path[48];

	if (!S_ISREG(f->st.st_mode) || strcmp(f->link, "/secretmem (deleted)") != 0)
		return false;
	snprintf(path, sizeof(path), "/proc/%d/%.24s", task_tid(f->task), f->at);
	return statfs(path, &fs) == 0 && fs.f_type == SECRETMEM_MAGIC;
}

const char *file_describe(const struct file *f)
{
	static char text[512];
	mode_t type = f->st.st_mode & S_IFMT;

	if (type == S_IFSOCK && f->fd >= 0 && !(f->flags & O_PATH))
		socket_describe(f, text, sizeof(text));
	else if (type == S_IFCHR || type == S_IFBLK)
		snprintf(text, sizeof(text), "%s device %u:%u",
		         type == S_IFCHR ? "character" : "block", major(f->st.st_rdev),
		         minor(f->st.st_rdev));
	else
		snprintf(text, sizeof(text), "%s%s",
		         file_is_secret(f)              ? "secret memory, memfd_secret"
		         : type == S_IFIFO              ? "fifo"
		         : type == S_IFDIR              ? "directory"
		         : type == S_IFREG              ? "regular file"
		         : type == S_IFSOCK             ? "socket"
		         : type == S_IFLNK              ? "symbolic link"
		         : f->link && f->link[0] == 'a' ? "anonymous inode"
		                                        : "unknown kind of file",
		         f->flags & O_PATH ? ", open with O_PATH" : "");
	return text;
}
