#include "lib/portowner.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/fd.h"

static int diag_ask(int nl, int family, int protocol)
{
	struct {
		struct nlmsghdr head;
		struct inet_diag_req_v2 req;
	} msg = {
		.head = { .nlmsg_len = sizeof(msg),
		          .nlmsg_type = SOCK_DIAG_BY_FAMILY,
		          .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP },
		.req = { .sdiag_family = (uint8_t)family,
		         .sdiag_protocol = (uint8_t)protocol,
		         .idiag_states = ~0U },
	};

	return send(nl, &msg, sizeof(msg), 0) < 0 ? -errno : 0;
}

/* The inode of a socket on PORT in one piece of the answer; 0: none so far; -1: that was the last. */
static int64_t answer_search(const void *buf, size_t size, uint16_t port)
{
	for (const struct nlmsghdr *h = buf; NLMSG_OK(h, size); h = NLMSG_NEXT(h, size)) {
		const struct inet_diag_msg *msg = NLMSG_DATA(h);

		if (h->nlmsg_type == NLMSG_DONE || h->nlmsg_type == NLMSG_ERROR)
			return -1;
		if (ntohs(msg->id.idiag_sport) == port && msg->idiag_inode)
			return msg->idiag_inode;
	}
	return 0;
}

static int64_t inode_of_port(int family, int protocol, uint16_t port)
{
	auto_close int nl = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	auto_free char *buf = malloc(1 << 16);
	int64_t found = nl < 0 || !buf || diag_ask(nl, family, protocol) < 0 ? -1 : 0;

	while (found == 0) {
		ssize_t n = recv(nl, buf, 1 << 16, 0);

		if (n < 0 && errno == EINTR)
			continue;
		found = n <= 0 ? -1 : answer_search(buf, (size_t)n, port);
	}
	return found;
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
