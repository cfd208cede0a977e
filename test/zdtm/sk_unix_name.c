/*
 * Stream sockets with names: a listener, a connection that was accepted from it and
 * one that waits, with a name of each kind:
 *
 *	sk_unix_name path|abstract|deleted|relative|symlink|gone|seqpacket
 */
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "zdtm.h"

static int type = SOCK_STREAM;
static struct sockaddr_un name = { .sun_family = AF_UNIX };
static socklen_t name_len;

static void name_make(const char *how)
{
	char cwd[80];

	check(getcwd(cwd, sizeof(cwd)) && mkdir("sub", 0755) == 0);
	if (!strcmp(how, "abstract"))
		snprintf(name.sun_path + 1, sizeof(name.sun_path) - 1, "zdtm%s", cwd + 20);
	else if (!strcmp(how, "relative"))
		strcpy(name.sun_path, "sub/name");
	else if (!strcmp(how, "symlink")) {
		check(symlink("sub", "link") == 0);
		strcpy(name.sun_path, "link/name");
	} else
		snprintf(name.sun_path, sizeof(name.sun_path), "%s/name", cwd);
	name_len =
		(socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 +
	                    (name.sun_path[0] ? strlen(name.sun_path) : strlen(name.sun_path + 1)));
}

static int client_make(void)
{
	int fd = socket(AF_UNIX, type, 0);

	check(fd >= 0 && connect(fd, (struct sockaddr *)&name, name_len) == 0);
	return fd;
}

static void named(int fd, bool peer)
{
	struct sockaddr_un un = {};
	socklen_t len = sizeof(un);

	check((peer ? getpeername(fd, (struct sockaddr *)&un, &len)
	            : getsockname(fd, (struct sockaddr *)&un, &len)) == 0);
	check(len == name_len && !memcmp(&un, &name, len));
}

static void talk(int from, int to)
{
	char buf[16] = "";

	check(send(from, "hello", 5, 0) == 5 && recv(to, buf, sizeof(buf), 0) == 5);
	check(!strcmp(buf, "hello"));
}

int main(int argc, char **argv)
{
	struct stat st;
	struct ucred cred;
	char buf[16] = "";
	int l, c, s, w, fresh;
	bool gone, reachable;

	check(argc == 2);
	gone = !strcmp(argv[1], "gone");
	reachable = !gone && strcmp(argv[1], "deleted") != 0;
	if (!strcmp(argv[1], "seqpacket"))
		type = SOCK_SEQPACKET;
	name_make(argv[1]);
	l = socket(AF_UNIX, type, 0);
	check(l >= 0 && bind(l, (struct sockaddr *)&name, name_len) == 0 && listen(l, 3) == 0);
	c = client_make();
	s = accept(l, NULL, NULL);
	check(s >= 0 && send(c, "early", 5, 0) == 5);
	w = gone ? -1 : client_make();
	if (name.sun_path[0])
		check(chmod(name.sun_path, 0640) == 0 && chown(name.sun_path, 12, 34) == 0);
	if (!reachable)
		check(unlink(name.sun_path) == 0);
	if (gone)
		check(close(l) == 0);

	zdtm_park();

	named(s, false);
	named(c, true);
	check(recv(s, buf, sizeof(buf), 0) == 5 && !memcmp(buf, "early", 5));
	talk(c, s);
	talk(s, c);
	if (gone)
		return zdtm_pass();
	named(l, false);
	check(getsockopt(l, SOL_SOCKET, SO_PEERCRED, &cred, &(socklen_t){ sizeof(cred) }) == 0);
	check(cred.pid == getpid() && cred.uid == getuid() && cred.gid == getgid());
	fresh = accept(l, NULL, NULL);
	check(fresh >= 0);
	talk(w, fresh);
	talk(fresh, w);
	if (!reachable)
		return zdtm_pass();
	c = client_make();
	s = accept(l, NULL, NULL);
	check(s >= 0);
	talk(c, s);
	if (name.sun_path[0])
		check(stat(name.sun_path, &st) == 0 && (st.st_mode & 07777) == 0640 &&
		      st.st_uid == 12 && st.st_gid == 34);
	return zdtm_pass();
}
