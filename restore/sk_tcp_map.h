/* --tcp-map OLD=NEW: addresses that have moved. */
#pragma once

#include "lib/inaddr.h"
#include "proto/sk_tcp.pb-c.h"
#include "restore/restore.h"

/* The addresses of a socket as they are now. */
union inaddr tcp_local(const struct restore *r, const Img__SkTcp *msg);
union inaddr tcp_peer(const struct restore *r, const Img__SkTcp *msg);
