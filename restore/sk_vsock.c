/* vsock sockets, restore half: made, bound, made to listen, with as long a queue as the system allows. */
#include <errno.h>
#include <sys/socket.h>

#include <linux/vm_sockets.h>

#include "lib/cleanup.h"
#include "lib/log.h"
#include "proto/sk_vsock.pb-c.h"
#include "restore/restore.h"
#include "restore/sockopt.h"

static const uint32_t levels[] = { SOL_SOCKET, AF_VSOCK, 0 };

static int sk_vsock_check(struct restore *r, const Img__File *file, const ProtobufCMessage *base)
{
	const Img__SkVsock *msg = (const Img__SkVsock *)base;
	bool stream = msg->type == SOCK_STREAM || msg->type == SOCK_SEQPACKET;

	if ((!stream && msg->type != SOCK_DGRAM) || (msg->listens && (!stream || !msg->bound)) ||
	    (msg->bound ? msg->port == VMADDR_PORT_ANY : msg->cid || msg->port))
		return fail(-EBADMSG, "file %u: vsock socket: its state makes no sense", file->id);
	return sockopts_check(file, msg->options, levels);
}

static int sock_bind(const Img__File *file, int fd, const Img__SkVsock *msg)
{
	struct sockaddr_vm at = { .svm_family = AF_VSOCK,
		                  .svm_cid = msg->cid,
		                  .svm_port = msg->port };

	if (!msg->bound || bind(fd, (struct sockaddr *)&at, sizeof(at)) == 0)
		return 0;
	if (errno == EADDRINUSE)
		return fail(-errno, "vsock socket %u: port %u is in use by another socket",
		            file->id, msg->port);
	if (errno == EADDRNOTAVAIL)
		return fail(-errno, "vsock socket %u: %u is not the cid of this machine", file->id,
		            msg->cid);
	return fail(-errno, "vsock socket %u: bind to cid %u, port %u", file->id, msg->cid,
	            msg->port);
}

static int sk_vsock_open(struct restore *r, const Img__File *file, const ProtobufCMessage *base)
{
	const Img__SkVsock *msg = (const Img__SkVsock *)base;
	auto_close int fd = socket(AF_VSOCK, (int)msg->type | SOCK_CLOEXEC, 0);
	int e;

	if (fd < 0)
		return fail(-errno, "vsock socket %u: create", file->id);
	e = sockopts_set(file, fd, msg->options, SOCKOPTS_EARLY);
	if (e == 0)
		e = sock_bind(file, fd, msg);
	if (e == 0 && msg->listens && listen(fd, SOMAXCONN) < 0)
		e = fail(-errno, "vsock socket %u: listen", file->id);
	if (e == 0)
		e = sockopts_set(file, fd, msg->options, SOCKOPTS_LATE);
	if (e < 0)
		return e;
	e = pool_set_flags(fd, file);
	return e < 0 ? fail(e, "vsock socket %u: set its flags", file->id) : take_fd(&fd);
}

const struct restore_kind restore_sk_vsock = {
	.check = sk_vsock_check,
	.open = sk_vsock_open,
};
