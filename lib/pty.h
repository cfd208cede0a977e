/*
 * Pseudo terminals, seen from their master: the pair with a given number, the
 * other side, and what lies unread in either direction. Nothing here logs.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/array.h"

#define PTMX_MAJOR 5 /* Documentation/admin-guide/devices.txt */
#define PTMX_MINOR 2
#define PTS_MAJOR  136 /* /dev/pts/N is 136:N */

/* A new master, opened at PATH; the lowest free number. -errno. */
int pty_open_any(const char *path, unsigned *ret_index);

/*
 * A new master with the number INDEX, opened at PATH (/dev/ptmx): the kernel gives
 * the lowest free number, so all below are taken meanwhile. -EBUSY: it is in use.
 */
int pty_open_master(const char *path, unsigned index);

/* The other side of MASTER, whose lock (TIOCSPTLCK) is lifted for that moment. -errno. */
int pty_open_slave(int master, int flags);

/* Who but us has /dev/pts/INDEX open, or the master of it (tty-index of fdinfo)? 0: nobody that we can see. */
pid_t pty_find_slave(unsigned index);
pid_t pty_find_master(unsigned index);

/* ---- what lies unread (pty_queue.c) ---- */

/*
 * Bytes on their way. Input of a terminal in canonical mode has lines: LINES are
 * their sizes, PTY_EOF is set in that of one that an end-of-file character ended, which is
 * not in the data. What follows the last line is not a line yet.
 */
struct pty_queue {
	uint8_t *data;
	size_t len, cap;
	size_t near; /* of them, before the first is taken: behind the line discipline */
	ARRAY(uint32_t) lines;
};
#define PTY_EOF 0x80000000u

void pty_queue_done(struct pty_queue *q);

/* May what was taken be put back? TIOCSTI, by which that goes, is tried. */
bool pty_may_put(void);

/*
 * Take what programs could read from SLAVE, a description of our own with O_NONBLOCK,
 * while nobody else uses the pair. An empty queue is left alone; what was taken
 * must be put back at once. On an error Q has what was taken before.
 */
int pty_take_input(int slave, struct pty_queue *q);
int pty_put_input(int master, int slave, const struct pty_queue *q);

/* The same for what was written to the slave, and waits for the master. */
int pty_take_output(int master, struct pty_queue *q);
int pty_put_output(int master, int slave, const struct pty_queue *q);

/* Output of a terminal may have been stopped. */
enum pty_flow {
	PTY_FLOWS,
	PTY_STOPPED_BY_CALL, /* tcflow(3) */
	PTY_STOPPED_BY_CHAR, /* Ctrl-S */
};
/* How is it? The output queue must be empty. */
int pty_flow(int slave, enum pty_flow *ret);
/* Stop one that flows. */
int pty_stop(int slave, enum pty_flow how);
