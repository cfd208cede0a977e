/* Which files of the tree are the two sides of one pseudo terminal. */
#pragma once

#include "dump/dump.h"

/* The number of a master, UINT32_MAX: there is none. */
unsigned pty_index(const struct file *f);

/* The master with that number, NULL: the tree has none. */
struct file *pty_master(struct dump *d, unsigned index);

/*
 * The device that F stands for: /dev/tty is another one, which it must be asked
 * for. -EIO: it was hung up; or another -errno.
 */
int tty_device(const struct file *f, dev_t *ret);

/* Does the tree have a descriptor of the other side of this master that is not hung up? */
bool pty_has_slave(struct dump *d, const struct file *master);

/* "/dev/pts/3, whose master task 41 (tmux) has": what terminal that is; one static buffer. */
const char *tty_describe(dev_t rdev);
