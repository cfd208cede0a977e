#include "lib/pty.h"

#include <asm/termbits.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/fd.h"
#include "lib/procfs.h"

int pty_open_any(const char *path, unsigned *ret_index)
{
	auto_close int fd = open(path, O_RDWR | O_NOCTTY | O_CLOEXEC);

	if (fd < 0 || ioctl(fd, TIOCGPTN, ret_index) < 0)
		return -errno;
	return take_fd(&fd);
}

int pty_open_master(const char *path, unsigned index)
{
	ARRAY(int) held = {};
	unsigned got = 0;
	int fd;

	for (;;) {
		int *at;

		fd = pty_open_any(path, &got);
		if (fd < 0 || got >= index)
			break;
		at = array_add(&held);
		if (!at) {
			close(fd);
			fd = -ENOMEM;
			break;
		}
		*at = fd;
	}
	array_each (other, &held)
		close(*other);
	array_done(&held);
	if (fd >= 0 && got != index) {
		close(fd);
		return -EBUSY;
	}
	return fd;
}

int pty_open_slave(int master, int flags)
{
	int locked, off = 0, fd, r = 0;

	if (ioctl(master, TIOCGPTLCK, &locked) < 0)
		return -errno;
	if (locked && ioctl(master, TIOCSPTLCK, &off) < 0)
		return -errno;
	/* The kernel would keep O_CLOEXEC among the flags of the file. */
	fd = ioctl(master, TIOCGPTPEER, (flags & ~O_CLOEXEC) | O_NOCTTY);
	if (fd < 0 || ((flags & O_CLOEXEC) && fcntl(fd, F_SETFD, FD_CLOEXEC) < 0))
		r = -errno;
	if (locked && ioctl(master, TIOCSPTLCK, &locked) < 0 && r == 0)
		r = -errno;
	if (r < 0 && fd >= 0)
		close(fd);
	return r < 0 ? r : fd;
}

/* ---- who has it? ---- */

struct sought {
	unsigned index;
	bool master;
};

static bool is_sought(int proc, const char *fd, const struct sought *what)
{
	auto_free char *target = NULL, *info = NULL;
	char path[64], slave[32];
	uint64_t index = UINT64_MAX;
	const char *base;

	snprintf(path, sizeof(path), "fd/%.20s", fd);
	if (link_read(proc, path, &target) < 0)
		return false;
	if (!what->master) {
		snprintf(slave, sizeof(slave), "/dev/pts/%u", what->index);
		return !strncmp(target, slave, strlen(slave)) &&
		       (!target[strlen(slave)] || target[strlen(slave)] == ' ');
	}
	base = strrchr(target, '/');
	if (!base || strcmp(base, "/ptmx") != 0)
		return false;
	snprintf(path, sizeof(path), "fdinfo/%.20s", fd);
	return file_read(proc, path, &info) > 0 && fdinfo_u64(info, "tty-index", 10, &index) &&
	       index == what->index;
}

static bool has_sought(const char *pid, const struct sought *what)
{
	char path[32];
	auto_close int proc = -1, fds = -1;
	auto_dir DIR *dir = NULL;
	struct dirent *de;

	snprintf(path, sizeof(path), "/proc/%.10s", pid);
	proc = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	fds = proc < 0 ? -1 : openat(proc, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	dir = fds < 0 ? NULL : fdopendir(fds);
	if (!dir)
		return false;
	take_fd(&fds);
	while ((de = readdir(dir)))
		if (de->d_name[0] != '.' && is_sought(proc, de->d_name, what))
			return true;
	return false;
}

static pid_t find(const struct sought *what)
{
	auto_dir DIR *dir = opendir("/proc");
	struct dirent *de;

	while (dir && (de = readdir(dir))) {
		pid_t pid = (pid_t)strtol(de->d_name, NULL, 10);

		if (pid > 0 && pid != getpid() && has_sought(de->d_name, what))
			return pid;
	}
	return 0;
}

pid_t pty_find_slave(unsigned index)
{
	return find(&(struct sought){ index, false });
}

pid_t pty_find_master(unsigned index)
{
	return find(&(struct sought){ index, true });
}
