#define _GNU_SOURCE
#include "migrate/peer.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "lib/child.h"
#include "lib/cleanup.h"
#include "lib/log.h"

#define END_MS 5000 /* ssh says goodbye */

int peer_start(const struct migration *m, struct channel *ret, pid_t *ret_pid)
{
	const char *const ssh[] = { "ssh", m->to, m->receiver, NULL };
	const char *const sh[] = { "sh", "-c", m->via, NULL };
	const char *const *argv = m->via ? sh : ssh;
	auto_close int to_peer = -1, from_peer = -1;
	int there[2], back[2], r;

	if (pipe2(there, O_CLOEXEC) < 0)
		return fail(-errno, "pipe to %s", argv[0]);
	to_peer = there[0];
	ret->out = there[1];
	if (pipe2(back, O_CLOEXEC) < 0)
		return fail(-errno, "pipe from %s", argv[0]);
	ret->in = back[0];
	from_peer = back[1];
	fcntl(ret->out, F_SETPIPE_SZ, 1 << 20); /* it is only faster */
	r = child_spawn(argv, to_peer, from_peer, ret_pid);
	return r < 0 ? fail(r, "run %s, which leads to %s", argv[0], ret->peer) : 0;
}

void peer_end(struct channel *c, pid_t pid)
{
	const struct timespec pause = { .tv_nsec = 10000000 };

	closep(&c->in);
	closep(&c->out);
	for (int ms = 0; pid > 0 && ms < END_MS; ms += 10) {
		if (waitpid(pid, NULL, WNOHANG) != 0)
			return;
		nanosleep(&pause, NULL);
	}
	if (pid > 0)
		child_end(pid);
}
