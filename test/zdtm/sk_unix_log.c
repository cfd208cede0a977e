/* As syslog(3) does it: a datagram socket, connected to a name that somebody else has. */
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "zdtm.h"

/* A server, outside of the tree: it writes what it gets into a file. */
static void serve(const struct sockaddr_un *name)
{
	int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
	char buf[16] = "";

	check(setsid() > 0);
	check(fd >= 0 && bind(fd, (const struct sockaddr *)name, sizeof(*name)) == 0);
	while (recv(fd, buf, sizeof(buf) - 1, 0) > 0 && strcmp(buf, "hello") != 0)
		continue;
	check(fopen("heard", "w"));
	_exit(0);
}

int main(void)
{
	struct sockaddr_un name = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	pid_t pid;

	check(getcwd(name.sun_path, sizeof(name.sun_path) - 8));
	strcat(name.sun_path, "/log");
	pid = fork();
	if (pid == 0) {
		close(fd);
		if (fork() == 0)
			serve(&name);
		_exit(0);
	}
	check(waitpid(pid, NULL, 0) == pid);
	while (connect(fd, (struct sockaddr *)&name, sizeof(name)) < 0)
		zdtm_nap();

	zdtm_park();

	check(send(fd, "hello", 5, 0) == 5);
	while (access("heard", F_OK) < 0)
		zdtm_nap();
	return zdtm_pass();
}
