/* Who has a port, for messages. */
#pragma once

#include "lib/inaddr.h"

/*
 * "task 41 (nginx)", or what else can be said of who is bound to the port of LOCAL:
 * one dump of the sockets of that protocol, then a look at all descriptors
 * in /proc. One static buffer.
 */
const char *port_owner(const union inaddr *local, int protocol);
