/*
 * vsock sockets, dump half: those that are not connected, listeners above all. The other
 * end of a connection is another machine, of which nobody here can make it be
 * silent, so connections are refused.
 *
 * Not seen: the backlog of a listener, which the kernel tells nobody.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>

#include <linux/vm_sockets.h>

#include "dump/sk_inet.h"
#include "lib/cleanup.h"
#include "lib/log.h"
#include "proto/sk_vsock.pb-c.h"

static bool sk_vsock_owns(const struct file *f)
{
	return f->sock.family == AF_VSOCK;
}

/* A new one can be written to, in the kernel's eyes; one that is being connected cannot. */
static bool is_fresh(int fd, short events)
{
	struct sockaddr_vm peer;

	return getpeername(fd, (struct sockaddr *)&peer, &(socklen_t){ sizeof(peer) }) < 0 &&
	       !(events & (POLLIN | POLLRDHUP | POLLHUP | POLLERR)) && events & POLLOUT;
}

static int sk_vsock_check(struct dump *d, const struct file *f)
{
	auto_close int fd = file_steal(f);
	struct pollfd p = { .fd = fd, .events = POLLIN | POLLOUT | POLLRDHUP };
	int listens = 0, r = fd < 0 ? fd : sk_option(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens);

	if (r < 0 || poll(&p, 1, 0) < 0)
		return fail(r < 0 ? r : -errno, "%s: ask for its state", file_name(f));
	if (listens && p.revents & POLLIN)
		return fail(
			-ENOTSUP,
			"%s (%s): a connection waits to be accepted, which cannot be saved: try "
			"again",
			file_name(f), file_describe(f));
	if (listens || is_fresh(fd, p.revents))
		return 0;
	return fail(-ENOTSUP,
	            "%s (%s): a connection to another machine, which cannot be saved; "
	            "--on-unknown-fd=null or =close lets it go",
	            file_name(f), file_describe(f));
}

static int add_state(const struct file *f, int fd, Img__SkVsock *msg)
{
	struct sockaddr_vm at = {};
	int listens = 0, r = sk_option(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens);

	if (r < 0 || getsockname(fd, (struct sockaddr *)&at, &(socklen_t){ sizeof(at) }) < 0)
		return fail(r < 0 ? r : -errno, "%s: ask for its state", file_name(f));
	msg->type = (uint32_t)f->sock.type;
	msg->bound = at.svm_port != VMADDR_PORT_ANY;
	msg->cid = msg->bound ? at.svm_cid : 0;
	msg->port = msg->bound ? at.svm_port : 0;
	msg->listens = listens;
	return 0;
}

static int sk_vsock_dump(struct dump *d, const struct file *f)
{
	auto_(sockopts_done) struct sockopts opts = {};
	auto_close int fd = file_steal(f);
	Img__SkVsock msg = IMG__SK_VSOCK__INIT;
	int r = fd < 0 ? fail(fd, "%s: pidfd_getfd", file_name(f)) : add_state(f, fd, &msg);

	if (r == 0)
		r = sockopts_read(d, f, fd, SOL_SOCKET, &opts);
	if (r == 0)
		r = sockopts_read(d, f, fd, AF_VSOCK, &opts);
	if (r < 0)
		return r;
	msg.options = sockopts_message(&opts);
	return msg.options ? image_put(d->out, KIND_sk_vsock, f->id, &msg.base) : -ENOMEM;
}

const struct dump_kind dump_sk_vsock = {
	.owns = sk_vsock_owns,
	.check = sk_vsock_check,
	.dump = sk_vsock_dump,
};
