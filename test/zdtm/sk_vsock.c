/* vsock sockets: sk_vsock listener|connecting. 77: there are none here. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <linux/vm_sockets.h>

#include "zdtm.h"

static struct sockaddr_vm name(int fd)
{
	struct sockaddr_vm at = {};

	check(getsockname(fd, (struct sockaddr *)&at, &(socklen_t){ sizeof(at) }) == 0);
	return at;
}

static uint64_t get(int fd, int option)
{
	uint64_t value = 0;

	check(getsockopt(fd, AF_VSOCK, option, &value, &(socklen_t){ sizeof(value) }) == 0);
	return value;
}

static void set(int fd, int option, uint64_t value)
{
	check(setsockopt(fd, AF_VSOCK, option, &value, sizeof(value)) == 0);
}

static bool listens(int fd)
{
	int value = 0;

	check(getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &value, &(socklen_t){ sizeof(value) }) ==
	      0);
	return value;
}

static int listener(int listening)
{
	struct sockaddr_vm at = { .svm_family = AF_VSOCK,
		                  .svm_cid = VMADDR_CID_ANY,
		                  .svm_port = VMADDR_PORT_ANY };
	int fresh = socket(AF_VSOCK, SOCK_STREAM, 0);
	int bound = socket(AF_VSOCK, SOCK_STREAM | SOCK_NONBLOCK, 0);
	uint32_t port, other;

	if (bind(listening, (struct sockaddr *)&at, sizeof(at)) < 0 || listen(listening, 7) < 0)
		return 77;
	check(bind(bound, (struct sockaddr *)&at, sizeof(at)) == 0);
	port = name(listening).svm_port;
	other = name(bound).svm_port;
	set(bound, SO_VM_SOCKETS_BUFFER_MAX_SIZE, 1 << 20);
	set(bound, SO_VM_SOCKETS_BUFFER_MIN_SIZE, 4096);
	set(bound, SO_VM_SOCKETS_BUFFER_SIZE, 300000);

	zdtm_park();

	check(name(listening).svm_port == port && name(listening).svm_cid == VMADDR_CID_ANY);
	check(listens(listening) && !listens(bound) && !listens(fresh));
	check(poll(&(struct pollfd){ .fd = listening, .events = POLLIN }, 1, 0) == 0);
	check(name(bound).svm_port == other && name(fresh).svm_port == VMADDR_PORT_ANY);
	check(get(bound, SO_VM_SOCKETS_BUFFER_SIZE) == 300000);
	check(get(bound, SO_VM_SOCKETS_BUFFER_MIN_SIZE) == 4096);
	check(get(bound, SO_VM_SOCKETS_BUFFER_MAX_SIZE) == 1 << 20);
	check(fcntl(bound, F_GETFL) & O_NONBLOCK && !(fcntl(listening, F_GETFL) & O_NONBLOCK));
	check(listen(bound, 1) == 0);
	return zdtm_pass();
}

/* To a machine that does not answer. */
static int connecting(int fd)
{
	struct sockaddr_vm to = { .svm_family = AF_VSOCK,
		                  .svm_cid = VMADDR_CID_LOCAL,
		                  .svm_port = 1 };
	struct timeval long_time = { .tv_sec = 1000 };

	check(setsockopt(fd, AF_VSOCK, SO_VM_SOCKETS_CONNECT_TIMEOUT_NEW, &long_time,
	                 sizeof(long_time)) == 0);
	check(fcntl(fd, F_SETFL, O_NONBLOCK) == 0);
	if (connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0 || errno != EINPROGRESS)
		return 77;
	if (poll(&(struct pollfd){ .fd = fd, .events = POLLOUT }, 1, 100))
		return 77;
	zdtm_park();
	return zdtm_pass();
}

int main(int argc, char **argv)
{
	int fd = socket(AF_VSOCK, SOCK_STREAM, 0);

	check(argc == 2);
	if (fd < 0)
		return 77;
	return !strcmp(argv[1], "listener") ? listener(fd) : connecting(fd);
}
