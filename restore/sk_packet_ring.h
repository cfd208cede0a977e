/* The rings of a packet socket, restore half. */
#pragma once

#include "lib/tpacket.h"
#include "proto/sk_packet.pb-c.h"
#include "restore/restore.h"

/* Refuse what no dump would write. MSG may be NULL. -EBADMSG, explained. */
int packet_ring_check(struct restore *r, const Img__File *file, const Img__SkPacket__Ring *msg);

/*
 * Give FD its ring, as it was. FD is a packet socket that is bound to nothing and receives nothing yet, without a
 * filter; its PACKET_VERSION and PACKET_RESERVE are set. MSG may be NULL. -errno, explained.
 */
int packet_ring_make(struct restore *r, const Img__File *file, int fd,
                     const Img__SkPacket__Ring *msg);

/* The same of the ring that it sends from. */
int packet_sends_check(struct restore *r, const Img__File *file, const Img__SkPacket__Ring *msg);

/*
 * The same of it, behind RX, which FD has already; either may be NULL.
 */
int packet_sends_make(struct restore *r, const Img__File *file, int fd,
                      const Img__SkPacket__Ring *rx, const Img__SkPacket__Ring *msg);

/* ---- between the two ---- */

#define PACKET_FEED_PROTOCOL 0x88b6 /* IEEE 802 local experiments, the second one */
#define PACKET_FEED_DEVICE   "lo"

/* Neither what MSG holds besides, nor its size, is beyond all limits, and its frames fill its blocks. */
bool packet_ring_shape_bad(const Img__SkPacket__Ring *msg);
int packet_ring_check_content(struct restore *r, const Img__SkPacket__Ring *msg, const char *what);

/* The loopback device, by any socket FD: -ENETDOWN, -errno, not explained. RET_MTU may be NULL. */
int packet_feed_device(int fd, int *ret_index, uint32_t *ret_mtu);

/* What was saved of MSG, mapped from COPY, a file in memory: *RET. -errno, not explained. */
int packet_ring_saved(struct restore *r, const Img__SkPacket__Ring *msg, int copy,
                      struct tpacket_ring *ret);

/* Has FD, in file FILE, its version? -EBADMSG: no; -errno. Explained. */
int packet_ring_check_version(const Img__File *file, int fd, const Img__SkPacket__Ring *msg);

int packet_ring_explain(int e, const Img__File *file, const Img__SkPacket__Ring *msg);
