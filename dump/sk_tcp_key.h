/* Keys of TCP sockets. */
#pragma once

#include "dump/dump.h"

/* No TCP socket of D has any, else -ENOTSUP explained. */
int tcp_keys_refuse(struct dump *d);
