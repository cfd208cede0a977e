/* restore/sk_udp.c: a record from a stranger. */
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "images/images.h"
#include "lib/log.h"
#include "proto/sk_udp.pb-c.h"
#include "restore/restore.h"

#include "unit.h"

extern const struct restore_kind restore_sk_udp;

/* A socket that is right: the tests spoil it. */
static struct sockaddr_in local, peer, source, dest, group, from, cork_from, cork_to;
static struct sockaddr_in6 six;
static char lo[] = "lo", none[] = "", endless[] = "0123456789abcdef";
static uint8_t data[70000];
static int one = 1;
static Img__SockOpts__Value option, *option_list[] = { &option };
static Img__SockOpts options;
static Img__McastGroup member, *members[] = { &member };
static ProtobufCBinaryData member_sources[1];
static Img__SkUdp__Datagram datagram, *datagrams[] = { &datagram };
static Img__SkUdp__Corked corked;
static Img__SkUdp sock;

static int verdict(void)
{
	Img__File file = IMG__FILE__INIT;

	return (restore_sk_udp.check)(NULL, &file, &sock.base);
}

static ProtobufCBinaryData bytes_of(struct sockaddr_in *a, uint32_t host)
{
	*a = (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr = { htonl(host) } };
	return (ProtobufCBinaryData){ sizeof(*a), (uint8_t *)a };
}

static void make(void)
{
	log_setup(LOG_ERROR, fopen("/dev/null", "w"));
	img__sk_udp__init(&sock);
	img__sk_udp__datagram__init(&datagram);
	img__mcast_group__init(&member);
	img__sock_opts__init(&options);
	img__sock_opts__value__init(&option);
	six = (struct sockaddr_in6){ .sin6_family = AF_INET6, .sin6_addr = in6addr_loopback };
	sock.family = AF_INET, sock.protocol = IPPROTO_UDP, sock.shutdown = 3;
	sock.local = bytes_of(&local, INADDR_LOOPBACK);
	sock.peer = bytes_of(&peer, INADDR_LOOPBACK);
	datagram.source = bytes_of(&source, INADDR_LOOPBACK);
	datagram.dest = bytes_of(&dest, INADDR_LOOPBACK);
	datagram.data = (ProtobufCBinaryData){ 100, data };
	datagram.device = lo, datagram.ttl = 64;
	sock.datagram = datagrams, sock.n_datagram = 1;
	member.group = bytes_of(&group, 0xef000001);
	member.device = lo, member.source = member_sources, member.n_source = 1;
	member_sources[0] = bytes_of(&from, INADDR_LOOPBACK);
	sock.group = members, sock.n_group = 1;
	option.level = SOL_SOCKET, option.name = SO_BROADCAST;
	option.value = (ProtobufCBinaryData){ sizeof(one), (uint8_t *)&one };
	options.value = option_list, options.n_value = 1;
	sock.options = &options;
	img__sk_udp__corked__init(&corked);
	corked.source = bytes_of(&cork_from, INADDR_LOOPBACK);
	corked.dest = bytes_of(&cork_to, INADDR_LOOPBACK);
	corked.data = (ProtobufCBinaryData){ 65535, data };
	corked.ttl = -1, corked.tos = 255;
	sock.corked = &corked;
	check(verdict() == 0);
}

#define SPOILED(name, ...)                    \
	TEST(name)                            \
	{                                     \
		make();                       \
		__VA_ARGS__;                  \
		check(verdict() == -EBADMSG); \
		log_forget();                 \
	}

SPOILED(another_family, sock.family = AF_UNIX)
SPOILED(another_protocol, sock.protocol = IPPROTO_TCP)
SPOILED(a_ping_socket_of_the_other_family, sock.protocol = IPPROTO_ICMPV6)
SPOILED(no_such_shutdown, sock.shutdown = 4)
SPOILED(an_address_cut_off, sock.local.len = 8)
SPOILED(an_address_of_another_family, local.sin_family = AF_INET6)
SPOILED(a_peer_cut_off, sock.peer.len = 15)
SPOILED(connected_and_not_bound, sock.local.len = 0)
SPOILED(an_option_of_another_level, option.level = IPPROTO_TCP; option.name = 1)
SPOILED(an_option_that_is_state, option.name = SO_ERROR)
SPOILED(an_option_cut_off, option.value.len = 3)
SPOILED(a_group_that_is_none, group.sin_addr.s_addr = htonl(INADDR_LOOPBACK))
SPOILED(a_group_cut_off, member.group.len = 4)
SPOILED(a_group_of_ipv6_in_a_socket_of_ipv4, {
	six.sin6_addr.s6_addr[0] = 0xff;
	member.group = (ProtobufCBinaryData){ sizeof(six), (uint8_t *)&six };
})
SPOILED(a_group_nowhere, member.device = none)
SPOILED(an_interface_with_an_endless_name, member.device = endless)
SPOILED(a_group_of_no_source, member.include = true; member.n_source = 0)
SPOILED(a_source_cut_off, member_sources[0].len = 2)
SPOILED(a_source_of_another_family, from.sin_family = AF_INET6)
SPOILED(a_datagram_of_nobody, datagram.source.len = 0)
SPOILED(a_datagram_to_another_family,
        datagram.dest = ((ProtobufCBinaryData){ sizeof(six), (uint8_t *)&six }))
SPOILED(a_datagram_too_large, datagram.data.len = sizeof(data))
SPOILED(a_datagram_by_an_endless_interface, datagram.device = endless)
SPOILED(a_datagram_that_lives_too_long, datagram.ttl = 256)
SPOILED(a_datagram_of_no_such_service, datagram.tos = 256)
SPOILED(datagrams_in_a_ping_socket, sock.protocol = IPPROTO_ICMP; sock.corked = NULL)
SPOILED(corked_in_a_ping_socket, sock.protocol = IPPROTO_ICMP; sock.n_datagram = 0)
SPOILED(corked_for_nobody, corked.dest.len = 0)
SPOILED(corked_for_another_family,
        corked.dest = ((ProtobufCBinaryData){ sizeof(six), (uint8_t *)&six }))
SPOILED(corked_by_another_family, cork_from.sin_family = AF_INET6)
SPOILED(corked_data_too_large, corked.data.len = 65536)
SPOILED(corked_for_too_long, corked.ttl = 256)
SPOILED(corked_for_no_time, corked.ttl = -2)
SPOILED(corked_of_no_such_service, corked.tos = 256)
