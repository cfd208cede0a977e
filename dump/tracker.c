/*
 * Its descriptors: 3 is the table, from 4 on the userfaultfds by slot, and behind them
 * pidfds. It is found by its name and believed by its owner: who could forge one of our
 * user could as well write to the memory of the target.
 */
#define _GNU_SOURCE
#include "dump/tracker.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/fd.h"

#define NAME      "crtool-track" /* of process and table */
#define TABLE     3
#define UFFDS     4
#define MAGIC     "crtrack2"
#define SLOTS_MAX 65536

struct table {
	char magic[8];
	uint64_t n;
};

/* ---- finding ---- */

/* What FD is open on, is it our table? */
static bool is_table(int fd)
{
	auto_free char *link = NULL;
	char path[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return link_read(AT_FDCWD, path, &link) == 0 && !strcmp(link, "/memfd:" NAME " (deleted)");
}

static int read_table(struct tracker *t)
{
	struct table head;
	int r = pread_full(t->table, &head, sizeof(head), 0);

	if (r < 0 || memcmp(head.magic, MAGIC, sizeof(head.magic)) != 0 || head.n > SLOTS_MAX)
		return r < 0 ? r : -EPROTO;
	for (uint64_t i = 0; r == 0 && i < head.n; i++) {
		struct tracker_slot *slot = array_add(&t->slots);

		r = slot ? pread_full(t->table, slot, sizeof(*slot),
		                      (off_t)(sizeof(head) + i * sizeof(*slot)))
		         : -ENOMEM;
	}
	return r;
}

static int steal(int pidfd, int fd)
{
	int got = (int)syscall(SYS_pidfd_getfd, pidfd, fd, 0);

	return got < 0 ? -errno : got;
}

static void tracker_done(struct tracker *t)
{
	closep(&t->pidfd);
	closep(&t->table);
	array_done(&t->slots);
}

/* It may be about to end, or be something else: then it is left out. */
static bool tracker_open(struct tracker *t)
{
	t->pidfd = (int)syscall(SYS_pidfd_open, t->pid, 0);
	t->table = t->pidfd < 0 ? -1 : steal(t->pidfd, TABLE);
	return t->table >= 0 && is_table(t->table) && read_table(t) == 0;
}

static bool is_tracker(int proc, const char *pid)
{
	auto_free char *comm = NULL;
	struct stat st;
	char path[300];

	snprintf(path, sizeof(path), "%s/comm", pid);
	return file_read(proc, path, &comm) > 0 && !strcmp(comm, NAME "\n") &&
	       fstatat(proc, pid, &st, 0) == 0 && st.st_uid == geteuid();
}

int trackers_find(struct trackers *ret)
{
	auto_dir DIR *dir = opendir("/proc");
	const struct dirent *entry;

	if (!dir)
		return -errno;
	while ((entry = readdir(dir))) {
		struct tracker *t;

		if (*entry->d_name < '1' || *entry->d_name > '9' ||
		    !is_tracker(dirfd(dir), entry->d_name))
			continue;
		t = array_add(&ret->all);
		if (!t)
			return -ENOMEM;
		*t = (struct tracker){ .pid = atoi(entry->d_name), .pidfd = -1, .table = -1 };
		if (tracker_open(t))
			continue;
		tracker_done(t);
		ret->all.n--;
	}
	return 0;
}

void trackers_done(struct trackers *t)
{
	array_each (one, &t->all)
		tracker_done(one);
	array_done(&t->all);
}

int tracker_uffd(const struct tracker *t, size_t slot)
{
	return steal(t->pidfd, UFFDS + (int)slot);
}

int tracker_update(const struct tracker *t, size_t slot)
{
	int r = pwrite_full(t->table, &t->slots.v[slot], sizeof(t->slots.v[slot]),
	                    (off_t)(sizeof(struct table) + slot * sizeof(t->slots.v[slot])));

	if (r < 0)
		return r;
	array_each (s, &t->slots)
		if (!s->taken)
			return 0;
	syscall(SYS_pidfd_send_signal, t->pidfd, SIGKILL, NULL, 0);
	return 0;
}

/* ---- being one ---- */

static int table_new(const struct tracker_slot *slots, size_t n)
{
	auto_close int fd = memfd_create(NAME, MFD_CLOEXEC);
	struct table head = { .magic = MAGIC, .n = n };
	int r = fd < 0 ? -errno : write_full(fd, &head, sizeof(head));

	if (r == 0)
		r = write_full(fd, slots, n * sizeof(*slots));
	return r < 0 ? r : take_fd(&fd);
}

/* FDS become TABLE and those that follow, and all others are closed. */
static int keep_only(int *fds, size_t n)
{
	int end = TABLE + (int)n;

	for (size_t i = 0; i < n; i++) {
		int high = fcntl(fds[i], F_DUPFD_CLOEXEC, end);

		if (high < 0)
			return -errno;
		fds[i] = high;
	}
	for (size_t i = 0; i < n; i++)
		if (dup2(fds[i], TABLE + (int)i) < 0)
			return -errno;
	return syscall(SYS_close_range, end, ~0u, 0) < 0 ? -errno : 0;
}

/* Nothing of the caller's is held or heard: no terminal, directory or signal. */
static void settle(void)
{
	int null = null_open();
	sigset_t none;

	setsid();
	if (chdir("/") < 0)
		_exit(1);
	for (int fd = 0; fd < 3; fd++)
		dup2(null, fd);
	if (null > 2)
		close(null);
	for (int sig = 1; sig < NSIG; sig++)
		signal(sig, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	prctl(PR_SET_NAME, NAME);
}

/* PIDFDS: of its processes. */
static void wait_for_end(struct pollfd *pidfds, size_t n)
{
	for (size_t left = n; left;) {
		if (poll(pidfds, n, -1) < 0 && errno != EINTR)
			return;
		left = 0;
		for (size_t i = 0; i < n; i++) {
			if (pidfds[i].fd >= 0 && pidfds[i].revents)
				pidfds[i].fd = -1;
			left += pidfds[i].fd >= 0;
		}
	}
}

/* In the tracker. FDS: table, userfaultfds, pidfds. READY is closed when it can be found. */
static void be_tracker(int *fds, size_t n, int ready)
{
	struct pollfd *poll = calloc(n, sizeof(*poll));

	settle();
	fds[1 + 2 * n] = ready;
	if (!poll || keep_only(fds, 2 + 2 * n) < 0)
		_exit(1);
	for (size_t i = 0; i < n; i++)
		poll[i] = (struct pollfd){ .fd = UFFDS + (int)(n + i), .events = POLLIN };
	ready = UFFDS + 2 * (int)n;
	if (write(ready, "", 1) != 1)
		_exit(1);
	close(ready);
	wait_for_end(poll, n);
	_exit(0);
}

/* Init becomes its parent. */
static void fork_twice(int *fds, size_t n, int ready)
{
	pid_t pid = fork();

	if (pid == 0)
		be_tracker(fds, n, ready);
	_exit(pid < 0);
}

static int start(int *fds, size_t n)
{
	auto_close int in = -1, out = -1;
	int pipe[2];
	char byte;
	pid_t pid;

	if (pipe2(pipe, O_CLOEXEC) < 0)
		return -errno;
	in = pipe[0], out = pipe[1];
	pid = fork();
	if (pid == 0)
		fork_twice(fds, n, out);
	if (pid < 0)
		return -errno;
	close(take_fd(&out));
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		continue;
	return read(in, &byte, 1) == 1 ? 0 : -ECHILD;
}

int tracker_start(const struct tracker_slot *slots, const int *uffds, const int *pidfds, size_t n)
{
	auto_free int *fds = malloc((2 + 2 * n) * sizeof(*fds));
	auto_close int table = table_new(slots, n);

	if (table < 0 || !fds)
		return fds ? table : -ENOMEM;
	fds[0] = table;
	memcpy(fds + 1, uffds, n * sizeof(*fds));
	memcpy(fds + 1 + n, pidfds, n * sizeof(*fds));
	return start(fds, n);
}
