/*
 * Datagram sockets with names: A, which has a path, and B, which has an abstract
 * name, are connected to each other; C, whose name the kernel chose, to itself; and D,
 * without a name, to A since before A was connected. Each has messages, of its circle and
 * of one that is no more.
 */
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "zdtm.h"

#define N 3
static const int to[] = { 1, 0, 2 };

static struct sockaddr_un name[N + 1];
static socklen_t len[N + 1];

static int sock_make(int i, const char *text, size_t size)
{
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);

	name[i].sun_family = AF_UNIX;
	memcpy(name[i].sun_path, text, size);
	len[i] = sizeof(sa_family_t) + (socklen_t)size;
	check(fd >= 0 && bind(fd, (struct sockaddr *)&name[i], len[i]) == 0);
	len[i] = sizeof(name[i]);
	check(getsockname(fd, (struct sockaddr *)&name[i], &len[i]) == 0);
	return fd;
}

static void expect(int fd, const char *text, int from)
{
	struct sockaddr_un un = {};
	socklen_t size = sizeof(un);
	char buf[16] = "";

	check(recvfrom(fd, buf, sizeof(buf), 0, (struct sockaddr *)&un, &size) ==
	      (ssize_t)strlen(text));
	check(!strcmp(buf, text));
	if (from < 0)
		check(size == 0 || size == sizeof(sa_family_t));
	else
		check(size == len[from] && !memcmp(&un, &name[from], size));
}

int main(void)
{
	char path[108], abstract[64] = "";
	int fd[N], dead, plain = socket(AF_UNIX, SOCK_DGRAM, 0);

	check(getcwd(path, sizeof(path) - 4) && strcat(path, "/a"));
	snprintf(abstract + 1, sizeof(abstract) - 1, "zdtm-dgram-%d", getpid());
	fd[0] = sock_make(0, path, strlen(path));
	fd[1] = sock_make(1, abstract, strlen(abstract + 1) + 1);
	fd[2] = sock_make(2, "", 0);
	dead = sock_make(3, "dead", 4);
	for (int i = 0; i < N; i++)
		check(sendto(dead, "dead", 4, 0, (struct sockaddr *)&name[i], len[i]) == 4);
	check(close(dead) == 0 && unlink("dead") == 0);
	check(sendto(plain, "", 0, 0, (struct sockaddr *)&name[0], len[0]) == 0);
	check(connect(plain, (struct sockaddr *)&name[0], len[0]) == 0);
	for (int i = 0; i < N; i++)
		check(connect(fd[i], (struct sockaddr *)&name[to[i]], len[to[i]]) == 0);
	for (int i = 0; i < N; i++)
		check(send(fd[i], "round", 5, 0) == 5);

	zdtm_park();

	for (int i = 0; i < N; i++) {
		char c;

		expect(fd[i], "dead", 3);
		if (i == 0)
			expect(fd[i], "", -1);
		expect(fd[i], "round", to[i]);
		check(recv(fd[i], &c, 1, 0) < 0 && errno == EAGAIN);
	}
	for (int i = 0; i < N; i++)
		check(send(fd[i], "again", 5, 0) == 5);
	for (int i = 0; i < N; i++)
		expect(fd[i], "again", to[i]);
	check(send(plain, "x", 1, 0) < 0 && errno == EPERM);
	check(connect(fd[0], &(struct sockaddr){ .sa_family = AF_UNSPEC }, sizeof(sa_family_t)) ==
	      0);
	check(send(plain, "x", 1, 0) == 1);
	return zdtm_pass();
}
