/* Packet sockets: sk_packet plain|members|fanout|queue|program */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "zdtm.h"

#define TYPE 0x88b5 /* for local experiments */

static int make(int type)
{
	int fd = socket(AF_PACKET, type, 0);

	check(fd >= 0);
	return fd;
}

static struct sockaddr_ll place(uint16_t protocol)
{
	return (struct sockaddr_ll){ .sll_family = AF_PACKET,
		                     .sll_protocol = htons(protocol),
		                     .sll_ifindex = (int)if_nametoindex("lo") };
}

static void bind_to(int fd, uint16_t protocol)
{
	struct sockaddr_ll at = place(protocol);

	check(bind(fd, (struct sockaddr *)&at, sizeof(at)) == 0);
}

static void set(int fd, int option, int value)
{
	check(setsockopt(fd, SOL_PACKET, option, &value, sizeof(value)) == 0);
}

static int get(int fd, int option)
{
	int value = -1;

	check(getsockopt(fd, SOL_PACKET, option, &value, &(socklen_t){ sizeof(value) }) == 0);
	return value;
}

/* One frame with this text over the loopback device. */
static void send_frame(const char *text)
{
	struct sockaddr_ll to = place(TYPE);
	int fd = make(SOCK_DGRAM);

	to.sll_halen = ETH_ALEN;
	check(sendto(fd, text, strlen(text) + 1, 0, (struct sockaddr *)&to, sizeof(to)) > 0);
	close(fd);
}

/* The next frame has this text behind SKIP bytes. */
static void got(int fd, const char *text, size_t skip)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	char buf[200];

	check(poll(&p, 1, 10000) == 1);
	check(recv(fd, buf, sizeof(buf), 0) >= (ssize_t)(skip + strlen(text)));
	check(!strcmp(buf + skip, text));
}

static bool empty(int fd)
{
	char c;

	return recv(fd, &c, 1, MSG_DONTWAIT | MSG_PEEK) < 0 && errno == EAGAIN;
}

/* One with a filter for "y...", one with options, one that receives nothing. */
static void plain(void)
{
	struct sock_filter code[] = { BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 14),
		                      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 'y', 0, 1),
		                      BPF_STMT(BPF_RET | BPF_K, 0xffff),
		                      BPF_STMT(BPF_RET | BPF_K, 0) };
	struct sock_fprog program = { 4, code };
	int raw = make(SOCK_RAW), cooked = make(SOCK_DGRAM), silent = make(SOCK_RAW);
	struct sockaddr_ll at = {};

	check(setsockopt(raw, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) == 0);
	set(raw, PACKET_AUXDATA, 1);
	set(raw, PACKET_VERSION, TPACKET_V3);
	set(raw, PACKET_RESERVE, 8);
	set(cooked, PACKET_ORIGDEV, 1);
	set(cooked, PACKET_QDISC_BYPASS, 1);
	set(cooked, PACKET_IGNORE_OUTGOING, 1);
	set(silent, PACKET_VNET_HDR, 1);
	check(setsockopt(raw, SOL_SOCKET, SO_RCVBUF, &(int){ 70000 }, sizeof(int)) == 0);
	bind_to(raw, TYPE);
	bind_to(cooked, ETH_P_ALL);
	/* The first frame of the device: nobody else sends here. */
	check(fcntl(cooked, F_SETFL, O_NONBLOCK) == 0);

	zdtm_park();

	check(getsockname(raw, (struct sockaddr *)&at, &(socklen_t){ sizeof(at) }) == 0);
	check(at.sll_protocol == htons(TYPE) && at.sll_ifindex == (int)if_nametoindex("lo"));
	check(getsockname(cooked, (struct sockaddr *)&at, &(socklen_t){ sizeof(at) }) == 0);
	check(at.sll_protocol == htons(ETH_P_ALL));
	check(getsockname(silent, (struct sockaddr *)&at, &(socklen_t){ sizeof(at) }) == 0);
	check(!at.sll_protocol && !at.sll_ifindex);
	check(get(raw, PACKET_AUXDATA) && !get(cooked, PACKET_AUXDATA));
	check(get(raw, PACKET_VERSION) == TPACKET_V3 && get(raw, PACKET_RESERVE) == 8);
	check(get(cooked, PACKET_ORIGDEV) && get(cooked, PACKET_QDISC_BYPASS));
	check(get(cooked, PACKET_IGNORE_OUTGOING) && get(silent, PACKET_VNET_HDR));
	check(fcntl(cooked, F_GETFL) & O_NONBLOCK);
	send_frame("no");
	send_frame("yes");
	got(raw, "yes", ETH_HLEN);
	check(empty(raw) && empty(silent));
	got(cooked, "no", 0);
	got(cooked, "yes", 0);
}

static int flags(void)
{
	struct ifreq req = { .ifr_name = "lo" };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	check(ioctl(fd, SIOCGIFFLAGS, &req) == 0);
	close(fd);
	return req.ifr_flags;
}

static void member(int fd, int option, unsigned short type, const char *address)
{
	struct packet_mreq req = { .mr_ifindex = (int)if_nametoindex("lo"), .mr_type = type };

	req.mr_alen = address ? ETH_ALEN : 0;
	if (address)
		memcpy(req.mr_address, address, ETH_ALEN);
	check(setsockopt(fd, SOL_PACKET, option, &req, sizeof(req)) == 0);
}

/* Promiscuous as tcpdump is, twice; a group. */
static void members(void)
{
	const char group[ETH_ALEN] = { 1, 0, 0x5e, 1, 2, 3 };
	int fd = make(SOCK_RAW);

	member(fd, PACKET_ADD_MEMBERSHIP, PACKET_MR_PROMISC, NULL);
	member(fd, PACKET_ADD_MEMBERSHIP, PACKET_MR_PROMISC, NULL);
	member(fd, PACKET_ADD_MEMBERSHIP, PACKET_MR_MULTICAST, group);
	bind_to(fd, ETH_P_ALL);

	zdtm_park();

	for (int i = 0; i < 2; i++)
		member(fd, PACKET_DROP_MEMBERSHIP, PACKET_MR_PROMISC, NULL);
	member(fd, PACKET_DROP_MEMBERSHIP, PACKET_MR_MULTICAST, group);
	check(!(flags() & IFF_PROMISC));
}

/* Two share what comes in, by turns. */
static void fanout(void)
{
	int a = make(SOCK_DGRAM), b = make(SOCK_DGRAM);
	int group = 4242 | (PACKET_FANOUT_LB | PACKET_FANOUT_FLAG_ROLLOVER) << 16;

	bind_to(a, TYPE);
	bind_to(b, TYPE);
	set(a, PACKET_FANOUT, group);
	set(b, PACKET_FANOUT, group);

	zdtm_park();

	check(get(a, PACKET_FANOUT) == group && get(b, PACKET_FANOUT) == group);
	send_frame("one");
	send_frame("two");
	check(!empty(a) && !empty(b));
}

static void queue(void)
{
	int fd = make(SOCK_DGRAM);

	bind_to(fd, TYPE);
	send_frame("gone");
	check(!empty(fd));

	zdtm_park();

	check(empty(fd));
	send_frame("new");
	got(fd, "new", 0);
}

static void program(void)
{
	struct sock_filter code[] = { BPF_STMT(BPF_RET | BPF_K, 0) };
	struct sock_fprog choose = { 1, code };
	int fd = make(SOCK_RAW);

	bind_to(fd, TYPE);
	set(fd, PACKET_FANOUT, 7 | PACKET_FANOUT_CBPF << 16);
	check(setsockopt(fd, SOL_PACKET, PACKET_FANOUT_DATA, &choose, sizeof(choose)) == 0);
	zdtm_park();
}

static const struct {
	const char *name;
	void (*run)(void);
} kinds[] = { { "plain", plain },
	      { "members", members },
	      { "fanout", fanout },
	      { "queue", queue },
	      { "program", program } };

int main(int argc, char **argv)
{
	check(argc == 2);
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
		if (!strcmp(kinds[i].name, argv[1]))
			kinds[i].run();
	return zdtm_pass();
}
