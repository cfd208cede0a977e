/*
 * What a program may set of a socket of IPv4 or IPv6 and no call tells: the memory of the kernel does, else it is
 * not seen. Of a connection of TCP nothing is looked for.
 */
#pragma once

#include "dump/dump.h"
#include "dump/sockopt.h"

/* Refuse, before the freeze, which options of F, of which FD is a descriptor of ours, cannot be carried. Explained. */
int sk_unseen_check(struct dump *d, const struct file *f, int fd);

/* Append what of it is carried as an option. What is not is told. -errno explained. */
int sk_unseen_read(struct dump *d, const struct file *f, int fd, struct sockopts *into);
