/* Who is at the other end (SO_PEERCRED, SO_PEERGROUPS): of a pair, of a client, of what was accepted. */
#include <grp.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "zdtm.h"

struct who {
	struct ucred cred;
	gid_t groups[8];
	socklen_t len;
};

static struct who peer(int fd)
{
	struct who w = { .len = sizeof(w.groups) };

	check(getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &w.cred, &(socklen_t){ sizeof(w.cred) }) ==
	      0);
	check(getsockopt(fd, SOL_SOCKET, 59 /* SO_PEERGROUPS */, w.groups, &w.len) == 0);
	return w;
}

static bool same(struct who a, int fd)
{
	struct who b = peer(fd);

	return !memcmp(&a.cred, &b.cred, sizeof(a.cred)) && a.len == b.len &&
	       !memcmp(a.groups, b.groups, a.len);
}

/* As another user with other groups, for a moment. */
static void become(uid_t uid, gid_t gid)
{
	gid_t groups[] = { gid + 1, gid + 2 };

	check(seteuid(0) == 0 && setegid(0) == 0);
	check(setgroups(gid ? 2 : 0, groups) == 0);
	check(setegid(gid) == 0 && seteuid(uid) == 0);
}

/* A child that has connected as somebody, and lives on. */
static pid_t connector(int fd, const struct sockaddr_un *at)
{
	pid_t child = fork();

	check(child >= 0);
	if (child)
		return child;
	check(prctl(PR_SET_PDEATHSIG, SIGKILL) == 0);
	become(4321, 432);
	check(connect(fd, (const struct sockaddr *)at, sizeof(*at)) == 0);
	become(0, 0);
	while (1)
		pause();
}

/* Its connection waits to be accepted; it remains who it is. */
static pid_t waiter(const struct sockaddr_un *at, int told)
{
	pid_t child = fork();
	int fd;

	check(child >= 0);
	if (child)
		return child;
	check(prctl(PR_SET_PDEATHSIG, SIGKILL) == 0);
	become(5432, 543);
	check(prctl(PR_SET_PDEATHSIG, SIGKILL) == 0); /* becoming somebody has cleared it */
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	check(fd >= 0 && connect(fd, (const struct sockaddr *)at, sizeof(*at)) == 0);
	check(write(told, "x", 1) == 1);
	/* Tells, when it is asked by what it receives, whom it takes for its peer. */
	while (1) {
		struct who w;
		char c;

		check(read(fd, &c, 1) == 1);
		w = peer(fd);
		check(write(fd, &w.cred, sizeof(w.cred)) == sizeof(w.cred));
	}
}

int main(void)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX, .sun_path = "name" };
	int pair[2], other[2], client = socket(AF_UNIX, SOCK_STREAM, 0), accepted;
	int listener = socket(AF_UNIX, SOCK_STREAM, 0);
	struct who of_pair, of_other, of_client, of_accepted;
	struct stat st;
	struct ucred theirs;
	struct who late;
	pid_t child, waits;
	int udp, told[2];
	char c;

	check(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
	become(99, 98);
	udp = socket(AF_INET, SOCK_DGRAM, 0);
	check(socketpair(AF_UNIX, SOCK_DGRAM, 0, other) == 0);
	become(0, 0);
	check(bind(listener, (struct sockaddr *)&at, sizeof(at)) == 0);
	check(chmod("name", 0777) == 0);
	become(1234, 123);
	check(listen(listener, 5) == 0);
	become(0, 0);
	child = connector(client, &at);
	accepted = accept(listener, NULL, NULL);
	check(accepted >= 0);

	of_pair = peer(pair[0]);
	of_other = peer(other[1]);
	of_client = peer(client);
	of_accepted = peer(accepted);
	check(of_pair.cred.pid == getpid() && of_pair.cred.uid == 0);
	check(of_client.cred.pid == getpid() && of_client.cred.uid == 1234);
	check(of_accepted.cred.pid == child && of_accepted.cred.uid == 4321);
	check(of_accepted.cred.gid == 432 && of_accepted.len == 2 * sizeof(gid_t));
	check(pipe(told) == 0);
	waits = waiter(&at, told[1]);
	check(read(told[0], &c, 1) == 1);

	zdtm_park();

	check(same(of_pair, pair[0]) && same(of_pair, pair[1]));
	check(same(of_other, other[0]) && same(of_other, other[1]));
	check(fstat(udp, &st) == 0 && st.st_uid == 99);
	check(fstat(other[0], &st) == 0 && st.st_uid == 99);
	check(fstat(pair[0], &st) == 0 && st.st_uid == 0);
	check(same(of_client, client) && same(of_accepted, accepted));
	accepted = accept(listener, NULL, NULL);
	check(accepted >= 0);
	late = peer(accepted);
	check(late.cred.pid == waits && late.cred.uid == 5432 && late.cred.gid == 543);
	check(late.len == 2 * sizeof(gid_t) && late.groups[0] == 544 && late.groups[1] == 545);
	check(write(accepted, "x", 1) == 1);
	check(read(accepted, &theirs, sizeof(theirs)) == sizeof(theirs));
	check(theirs.pid == getpid() && theirs.uid == 1234 && theirs.gid == 123);
	check(kill(waits, SIGKILL) == 0 && waitpid(waits, NULL, 0) == waits);
	check(kill(child, SIGKILL) == 0 && waitpid(child, NULL, 0) == child);
	return zdtm_pass();
}
