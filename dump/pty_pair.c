#include "dump/pty_pair.h"

#include <asm/termbits.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>

#include "lib/cleanup.h"
#include "lib/fd.h"
#include "lib/pty.h"

#define FIRST_SERIAL 64 /* of major 4: those below are virtual consoles */

unsigned pty_index(const struct file *f)
{
	uint64_t index;

	return fdinfo_u64(f->fdinfo, "tty-index", 10, &index) ? (unsigned)index : UINT32_MAX;
}

struct file *pty_master(struct dump *d, unsigned index)
{
	array_each (f, &d->files)
		if (f->kind == KIND_ptmx && f->fd >= 0 && pty_index(f) == index)
			return f;
	return NULL;
}

int tty_device(const struct file *f, dev_t *ret)
{
	auto_close int fd = file_steal(f);
	struct termios tio;
	unsigned rdev;

	if (fd < 0)
		return fd;
	if (ioctl(fd, TCGETS, &tio) < 0)
		return -errno;
	*ret = f->st.st_rdev;
	if (*ret != makedev(PTMX_MAJOR, 0))
		return 0;
	if (ioctl(fd, TIOCGDEV, &rdev) < 0)
		return -errno;
	/* new_encode_dev() of linux/kdev_t.h */
	*ret = makedev((rdev >> 8) & 0xfff, (rdev & 0xff) | ((rdev >> 12) & 0xfff00));
	return 0;
}

bool pty_has_slave(struct dump *d, const struct file *master)
{
	dev_t wanted = makedev(PTS_MAJOR, pty_index(master)), is;

	array_each (f, &d->files) {
		/* /dev/tty may be any */
		if (f->kind != KIND_tty ||
		    (f->st.st_rdev != wanted && f->st.st_rdev != makedev(PTMX_MAJOR, 0)))
			continue;
		if (tty_device(f, &is) == 0 && is == wanted)
			return true;
	}
	return false;
}

static void name_holder(pid_t pid, char *buf, size_t size)
{
	auto_free char *comm = NULL;
	char path[32];

	snprintf(path, sizeof(path), "/proc/%d/comm", pid);
	if (file_read(AT_FDCWD, path, &comm) > 0)
		comm[strcspn(comm, "\n")] = '\0';
	snprintf(buf, size, "task %d (%s)", pid, comm ? comm : "?");
}

const char *tty_describe(dev_t rdev)
{
	static char text[96];
	char holder[48];
	pid_t pid;

	if (major(rdev) == PTMX_MAJOR) {
		snprintf(text, sizeof(text), "the system console");
	} else if (major(rdev) != PTS_MAJOR) {
		snprintf(text, sizeof(text), "%s",
		         minor(rdev) < FIRST_SERIAL ? "a virtual console" : "a serial port");
	} else {
		pid = pty_find_master(minor(rdev));
		name_holder(pid, holder, sizeof(holder));
		snprintf(text, sizeof(text), "a terminal, /dev/pts/%u, whose master %s has",
		         minor(rdev), pid ? holder : "nobody that can be seen");
	}
	return text;
}
