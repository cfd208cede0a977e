/*
 * Files and directories of processes in /proc, restore half: opened by path when
 * the processes of the tree exist (late.c).
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/log.h"
#include "lib/procfs.h"
#include "proto/procfs.pb-c.h"
#include "restore/restore.h"

#define CREATION (O_CREAT | O_EXCL | O_TRUNC | O_NOCTTY | O_ASYNC)

static pid_t pid_of(const Img__Procfs *msg)
{
	return (pid_t)strtol(msg->path + strlen("/proc/"), NULL, 10);
}

static int procfs_check(struct restore *r, const Img__File *file, const ProtobufCMessage *base)
{
	const Img__Procfs *msg = (const Img__Procfs *)base;
	bool type = S_ISREG(msg->mode) || S_ISDIR(msg->mode) ||
	            (S_ISLNK(msg->mode) && file->flags & O_PATH);

	if (strncmp(msg->path, "/proc/", 6) != 0 || !isdigit(msg->path[6]) ||
	    strstr(msg->path, "/..") || !type)
		return fail(-EBADMSG, "file %u: '%s' is no file of a process", file->id, msg->path);
	if (!msg->start && !rtask_find(r, pid_of(msg)))
		return fail(-EBADMSG, "file %u: %s: there is no such process", file->id, msg->path);
	return 0;
}

static bool procfs_late(const struct restore *r, const ProtobufCMessage *base)
{
	return !((const Img__Procfs *)base)->start;
}

/* Is it still the process that it was? */
static int compare_start(const struct restore *r, const Img__Procfs *msg)
{
	auto_close int proc = -1;
	struct proc_stat st;
	char path[32];

	if (!msg->start)
		return 0;
	snprintf(path, sizeof(path), "/proc/%d", pid_of(msg));
	proc = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (pool_same_boot(r) && proc >= 0 && stat_read(proc, "stat", &st) == 0 &&
	    st.field[STAT_STARTTIME] == msg->start)
		return 0;
	return fail(-ENOTSUP, "file %s: the process has ended since the dump", msg->path);
}

static int procfs_open(struct restore *r, const Img__File *file, const ProtobufCMessage *base)
{
	const Img__Procfs *msg = (const Img__Procfs *)base;
	auto_close int fd = -1;
	int e = compare_start(r, msg);
	struct stat st;

	if (e < 0)
		return e;
	if (lstat(msg->path, &st) < 0 || (st.st_mode & S_IFMT) != (msg->mode & S_IFMT))
		return fail(-ENOTSUP, "file %s: there is none on this machine", msg->path);
	fd = open(msg->path, ((int)file->flags & ~CREATION) | O_CLOEXEC);
	if (fd < 0)
		return fail(-errno, "file %s", msg->path);
	return take_fd(&fd);
}

/* Here the kernel makes the text up to there: the process must be what it was. */
static int procfs_finish(struct restore *r, int fd, const Img__File *file,
                         const ProtobufCMessage *base)
{
	const Img__Procfs *msg = (const Img__Procfs *)base;

	if (file->pos && !(file->flags & O_PATH) && lseek(fd, (off_t)file->pos, SEEK_SET) < 0)
		return fail(-errno, "file %s: seek to %" PRIu64, msg->path, file->pos);
	return 0;
}

const struct restore_kind restore_procfs = {
	.check = procfs_check,
	.late = procfs_late,
	.open = procfs_open,
	.finish = procfs_finish,
};
