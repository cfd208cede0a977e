/*
 * Files and directories of processes in /proc, dump half. They are made by the
 * kernel as they are read, and come back at the same offset with what they say
 * then. Of a process outside of the tree: if it still lives.
 *
 * Threads, descriptors and mappings have files of their own, which are there only
 * when those are; a restore opens these files before that, so they are refused.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>

#include "dump/dump.h"
#include "lib/cleanup.h"
#include "lib/log.h"
#include "proto/procfs.pb-c.h"

static bool procfs_owns(const struct file *f)
{
	struct stat st;

	return !strncmp(f->link, "/proc/", 6) && isdigit(f->link[6]) && stat("/proc", &st) == 0 &&
	       st.st_dev == f->st.st_dev;
}

/*
 * The path that leads there, in a fresh string; -ENOENT: none does any more. An entry of the network
 * is looked up anew each time, and who has the one before is told that it is deleted: it is the same
 * one by its number, which each network namespace has its own of.
 */
static int path_of(const struct file *f, char **ret)
{
	static const char deleted[] = " (deleted)";
	size_t len = strlen(f->link), end = sizeof(deleted) - 1;
	auto_free char *path = strdup(f->link);
	struct stat st;
	bool again = len > end && !strcmp(f->link + len - end, deleted) && strstr(f->link, "/net/");

	if (!path)
		return -ENOMEM;
	if (again)
		path[len - end] = '\0';
	if (lstat(path, &st) < 0 || (again && st.st_ino != f->st.st_ino) ||
	    (st.st_mode & S_IFMT) != (f->st.st_mode & S_IFMT))
		return -ENOENT;
	*ret = take_ptr(path);
	return 0;
}

/* The process, and what follows its number. */
static pid_t pid_of(const struct file *f, const char **ret_rest)
{
	char *rest;
	pid_t pid = (pid_t)strtol(f->link + 6, &rest, 10);

	*ret_rest = rest;
	return pid;
}

/* /proc/PID/task/TID/x: of the leader it is there as soon as the process. */
static bool is_early(const char *rest, pid_t pid)
{
	static const char *const later[] = { "/fdinfo/", "/fd/", "/map_files/" };
	char leader[32];

	snprintf(leader, sizeof(leader), "/task/%d", pid);
	if (!strncmp(rest, leader, strlen(leader)))
		rest += strlen(leader);
	if (!strncmp(rest, "/task/", 6) || isdigit(*rest))
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(later); i++)
		if (!strncmp(rest, later[i], strlen(later[i])))
			return false;
	return true;
}

/* The memory of what it was before execve(2), of which nothing is left. */
static bool is_memory_of_old(const struct file *f, const struct task *t, const char *rest)
{
	auto_close int fd = -1;
	char byte;

	if (strcmp(rest, "/mem") != 0 || !t->vmas.n || (f->flags & O_ACCMODE) == O_WRONLY)
		return false;
	fd = file_steal(f);
	return fd >= 0 && pread(fd, &byte, 1, (off_t)t->vmas.v[0].start) == 0;
}

static int procfs_check(struct dump *d, const struct file *f)
{
	const char *rest;
	pid_t pid = pid_of(f, &rest);
	const struct task *t = task_find(d, pid);
	auto_free char *path = NULL;

	if (path_of(f, &path) < 0)
		return fail(-ENOTSUP,
		            "%s: a file of a process or thread that has ended; "
		            "--on-unknown-fd=null or =close lets it go",
		            file_name(f));
	if (t && t->state == TASK_ZOMBIE)
		return fail(-ENOTSUP, "%s: a file of a zombie: not supported by this version",
		            file_name(f));
	if (!is_early(rest, pid))
		return fail(-ENOTSUP,
		            "%s: a file of a thread, descriptor or mapping in /proc: not supported "
		            "by this version; --on-unknown-fd=null or =close lets it go",
		            file_name(f));
	if (t && is_memory_of_old(f, t, rest))
		return fail(-ENOTSUP,
		            "%s: the memory of the program that this process was before execve(2): "
		            "not supported; --on-unknown-fd=null or =close lets it go",
		            file_name(f));
	return 0;
}

/* When a process of others began, in clock ticks; it tells one from the next of that number. */
static int start_of(const struct file *f, pid_t pid, uint64_t *ret)
{
	auto_close int proc = -1;
	struct proc_stat st;
	char path[32];
	int r;

	snprintf(path, sizeof(path), "/proc/%d", pid);
	proc = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	r = proc < 0 ? -errno : stat_read(proc, "stat", &st);
	if (r < 0)
		return fail(r, "%s: read %s/stat", file_name(f), path);
	*ret = st.field[STAT_STARTTIME];
	return 0;
}

static int procfs_dump(struct dump *d, const struct file *f)
{
	Img__Procfs msg = IMG__PROCFS__INIT;
	const char *rest;
	pid_t pid = pid_of(f, &rest);
	int r = task_find(d, pid) ? 0 : start_of(f, pid, &msg.start);
	auto_free char *path = NULL;

	if (r < 0)
		return r;
	r = path_of(f, &path);
	if (r < 0)
		return fail(r, "%s: find it", file_name(f));
	msg.path = path;
	msg.mode = f->st.st_mode;
	return image_put(d->out, KIND_procfs, f->id, &msg.base);
}

const struct dump_kind dump_procfs = {
	.owns = procfs_owns,
	.check = procfs_check,
	.dump = procfs_dump,
};
