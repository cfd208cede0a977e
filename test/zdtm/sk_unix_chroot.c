/*
 * A listener whose name lies below a root of its own: the name leads there, and nowhere else.
 * A connection that was accepted from it.
 */
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "zdtm.h"

static const struct sockaddr_un name = { AF_UNIX, "/run/name" };

static int client_make(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	check(fd >= 0 && connect(fd, (const struct sockaddr *)&name, sizeof(name)) == 0);
	return fd;
}

static void talk(int from, int to)
{
	char c = 0;

	check(write(from, "x", 1) == 1);
	check(read(to, &c, 1) == 1 && c == 'x');
}

int main(void)
{
	struct stat st;
	int l, c, s;

	/* The harness talks through absolute paths: inside, they lead back to the root by a link. */
	check(mkdir("run", 0755) == 0 && system("mkdir -p .${PWD%/*} && ln -s / .$PWD") == 0);
	check(chroot(".") == 0);
	l = socket(AF_UNIX, SOCK_STREAM, 0);
	check(l >= 0 && bind(l, (const struct sockaddr *)&name, sizeof(name)) == 0);
	check(listen(l, 3) == 0);
	c = client_make();
	s = accept(l, NULL, NULL);
	check(s >= 0);
	check(chmod("/run/name", 0604) == 0 && chown("/run/name", 56, 78) == 0);

	zdtm_park();

	talk(c, s);
	talk(s, c);
	check(stat("/run/name", &st) == 0 && (st.st_mode & 07777) == 0604);
	check(st.st_uid == 56 && st.st_gid == 78);
	c = client_make();
	s = accept(l, NULL, NULL);
	check(s >= 0);
	talk(c, s);
	talk(s, c);
	return zdtm_pass();
}
