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

int main(void)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX, .sun_path = "name" };
	int pair[2], other[2], client = socket(AF_UNIX, SOCK_STREAM, 0), accepted;
	int listener = socket(AF_UNIX, SOCK_STREAM, 0);
	struct who of_pair, of_other, of_client, of_accepted;
	struct stat st;
	pid_t child;
	int udp;

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

	zdtm_park();

	check(same(of_pair, pair[0]) && same(of_pair, pair[1]));
	check(same(of_other, other[0]) && same(of_other, other[1]));
	check(fstat(udp, &st) == 0 && st.st_uid == 99);
	check(fstat(other[0], &st) == 0 && st.st_uid == 99);
	check(fstat(pair[0], &st) == 0 && st.st_uid == 0);
	check(same(of_client, client) && same(of_accepted, accepted));
	check(kill(child, SIGKILL) == 0 && waitpid(child, NULL, 0) == child);
	return zdtm_pass();
}
