#include "lib/portowner.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/fd.h"
#include "lib/inetdiag.h"

struct wanted {
	uint16_t port;
	int64_t inode;
};

static int port_compare(const struct inet_diag_msg *msg, const struct nlattr *attrs, size_t size,
                        void *arg)
{
	struct wanted *w = arg;

	if (ntohs(msg->id.idiag_sport) == w->port && msg->idiag_inode)
		w->inode = msg->idiag_inode;
	return w->inode != 0;
}

/* The inode of a socket on that port; -1: there is none. */
static int64_t inode_of_port(int family, int protocol, uint16_t port)
{
	struct wanted w = { .port = port };

	inetdiag_each(family, protocol, INETDIAG_ALL, 0, port_compare, &w);
	return w.inode ? w.inode : -1;
}

/* Does the task with that name in /proc have a descriptor of socket INODE? */
static bool task_has(const char *pid, int64_t inode)
{
	auto_dir DIR *dir = NULL;
	char path[300], want[40], link[40];
	const struct dirent *de;

	snprintf(path, sizeof(path), "/proc/%s/fd", pid);
	snprintf(want, sizeof(want), "socket:[%lld]", (long long)inode);
	dir = opendir(path);
	while (dir && (de = readdir(dir))) {
		ssize_t n = readlinkat(dirfd(dir), de->d_name, link, sizeof(link) - 1);

		link[n < 0 ? 0 : n] = '\0';
		if (!strcmp(link, want))
			return true;
	}
	return false;
}

static const char *task_of(int64_t inode)
{
	static char text[64];
	auto_dir DIR *proc = opendir("/proc");
	const struct dirent *de;

	while (proc && (de = readdir(proc))) {
		auto_free char *comm = NULL;
		char path[300];

		if (de->d_name[0] < '0' || de->d_name[0] > '9' || !task_has(de->d_name, inode))
			continue;
		snprintf(path, sizeof(path), "/proc/%s/comm", de->d_name);
		file_read(AT_FDCWD, path, &comm);
		if (comm)
			comm[strcspn(comm, "\n")] = '\0';
		snprintf(text, sizeof(text), "task %.10s (%.20s)", de->d_name, comm ? comm : "?");
		return text;
	}
	return "a socket that no task in sight has open";
}

const char *port_owner(const union inaddr *local, int protocol)
{
	int64_t inode = inode_of_port(AF_INET, protocol, inaddr_port(local));

	if (inode <= 0)
		inode = inode_of_port(AF_INET6, protocol, inaddr_port(local));
	return inode <= 0 ? "a connection that is about to end" : task_of(inode);
}
