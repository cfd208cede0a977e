/* The receive ring of a packet socket, restore half. */
#pragma once

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
