/*
 * The file of a socket is open by O_PATH, under a lower number than the socket, which is bound anew at a restore: it is
 * the file of the new one. Argument: relative (to the working directory it is bound), or nothing.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "zdtm.h"

static int bound(const char *path)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0), high = fcntl(fd, F_DUPFD, 30);

	snprintf(un.sun_path, sizeof(un.sun_path), "%s", path);
	check(fd >= 0 && close(fd) == 0);
	check(bind(high, (struct sockaddr *)&un, sizeof(un)) == 0 && listen(high, 1) == 0);
	return high;
}

int main(int argc, char **argv)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	char path[64] = "socket";
	int listener, file, client;
	struct stat open_one, there;

	if (argc < 2) /* of at most 107 bytes */
		snprintf(path, sizeof(path), "/tmp/crtool-sk_unix_path-%d", getpid());
	listener = bound(path);
	file = open(path, O_PATH);
	check(file >= 0 && file < listener);

	zdtm_park();

	check(fstat(file, &open_one) == 0 && lstat(path, &there) == 0);
	check(S_ISSOCK(open_one.st_mode) && open_one.st_ino == there.st_ino);
	client = socket(AF_UNIX, SOCK_STREAM, 0);
	snprintf(un.sun_path, sizeof(un.sun_path), "/proc/self/fd/%d", file);
	check(connect(client, (struct sockaddr *)&un, sizeof(un)) == 0);
	check(accept(listener, NULL, NULL) >= 0 && unlink(path) == 0);
	return zdtm_pass();
}
