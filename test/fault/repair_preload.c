/*
 * Preloaded into crtool: it is killed at the Nth call that it makes while a connection is in repair mode, or a
 * UNIX socket passes credentials that does not, counted from 0 by REPAIR_KILL=N; how many there were goes to the
 * file REPAIR_LOG at its end.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static bool repairs;
static long made;

static void count(void)
{
	const char *at = getenv("REPAIR_KILL");

	if (!repairs)
		return;
	if (at && made == atol(at))
		kill(getpid(), SIGKILL);
	made++;
}

int setsockopt(int fd, int level, int name, const void *value, socklen_t len)
{
	int r;

	count();
	r = REAL(setsockopt)(fd, level, name, value, len);
	if ((level == IPPROTO_TCP && name == TCP_REPAIR) ||
	    (level == SOL_SOCKET && name == SO_PASSCRED)) {
		repairs = *(const int *)value == 1;
		count();
	}
	return r;
}

int getsockopt(int fd, int level, int name, void *value, socklen_t *len)
{
	count();
	return REAL(getsockopt)(fd, level, name, value, len);
}

ssize_t recv(int fd, void *data, size_t size, int flags)
{
	count();
	return REAL(recv)(fd, data, size, flags);
}

ssize_t recvmsg(int fd, struct msghdr *msg, int flags)
{
	count();
	return REAL(recvmsg)(fd, msg, flags);
}

__attribute__((destructor)) static void tell(void)
{
	const char *log = getenv("REPAIR_LOG");
	int fd = log && made ? open(log, O_WRONLY | O_CREAT | O_CLOEXEC, 0600) : -1;

	if (fd >= 0)
		dprintf(fd, "%ld\n", made);
}
