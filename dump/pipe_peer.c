/*
 * Who has the other end of a pipe that is not in the tree? Every descriptor in
 * /proc is looked at: its link names the inode, and its mode the direction
 * (proc_pid_fd: r for reading, w for writing). A refusal names them.
 */
#include "dump/pipe_peer.h"

#include <fcntl.h>
#include <string.h>

#include "lib/cleanup.h"
#include "lib/fd.h"
#include "lib/sysv.h"

#define NAMED 3

struct search {
	const struct dump *d;
	const struct file *f;
	mode_t direction; /* of the descriptors that are looked for */
	char *buf;
	size_t size, n;
};

static bool is_ours(const struct dump *d, pid_t pid)
{
	array_each (t, &d->tasks)
		if (t->pid == pid)
			return true;
	return pid == getpid();
}

static bool is_end(const struct search *s, int dir, const char *name)
{
	struct stat st, end;

	return fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_mode & s->direction &&
	       fstatat(dir, name, &end, 0) == 0 && end.st_ino == s->f->st.st_ino &&
	       end.st_dev == s->f->st.st_dev;
}

static bool has_end(const struct search *s, pid_t pid)
{
	auto_dir DIR *dir = NULL;
	struct dirent *de;
	char path[32];

	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	dir = opendir(path);
	while (dir && (de = readdir(dir)))
		if (de->d_name[0] != '.' && is_end(s, dirfd(dir), de->d_name))
			return true;
	return false;
}

static void note(struct search *s, pid_t pid)
{
	size_t len = strlen(s->buf);
	char comm[32];

	s->n++;
	if (s->n > NAMED)
		return;
	sysv_comm(pid, comm, sizeof(comm));
	snprintf(s->buf + len, s->size - len, "%stask %d (%s)", s->n > 1 ? ", " : "", pid, comm);
}

static void look_around(struct search *s)
{
	auto_dir DIR *dir = opendir("/proc");
	struct dirent *de;

	*s->buf = '\0';
	while (dir && (de = readdir(dir))) {
		pid_t pid = (pid_t)strtol(de->d_name, NULL, 10);

		if (pid > 0 && !is_ours(s->d, pid) && has_end(s, pid))
			note(s, pid);
	}
	if (s->n > NAMED)
		snprintf(s->buf + strlen(s->buf), s->size - strlen(s->buf), " and %zu more",
		         s->n - NAMED);
}

bool pipe_peers(const struct dump *d, const struct file *f, bool writing, char *buf, size_t size)
{
	struct search s = { d, f, writing ? 0200 : 0400, buf, size, 0 };

	look_around(&s);
	if (!s.n)
		snprintf(buf, size, "somebody who cannot be seen");
	return s.n > 0;
}

bool file_peers(const struct dump *d, const struct file *f, char *buf, size_t size)
{
	struct search s = { d, f, 0600, buf, size, 0 };

	look_around(&s);
	return s.n > 0;
}
