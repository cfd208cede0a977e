/* What calls tell of an io_uring, our own descriptor FD: NULL, or why it cannot be carried. */
#pragma once

#include "dump/dump.h"

#define RING_PROVIDED                                          \
	"it has provided buffers (IORING_REGISTER_PBUF_RING, " \
	"IORING_OP_PROVIDE_BUFFERS)"

/* May one thread alone use it? Nobody else can find out more. */
bool ring_probe_single(int fd);
/* KNOWN: which eventfd is registered with it is known. */
const char *ring_probe_eventfd(int fd, bool known);
/* Is it polled for completions (IORING_SETUP_IOPOLL)? */
bool ring_probe_iopoll(int fd);
const char *ring_probe_enter(int fd);
/* Of F; a kernel that does not tell is told of once frozen. */
const char *ring_probe_buffer_groups(struct dump *d, const struct file *f, int fd);
