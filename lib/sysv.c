/*
 * A segment shows in maps as /SYSVkey, with its id as the inode (ipc/shm.c,
 * newseg()). Two ipc namespaces may have the same id: then the first is named.
 */
#include "lib/sysv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "lib/array.h"
#include "lib/cleanup.h"
#include "lib/fd.h"
#include "lib/log.h"

const char *sysv_name(enum sysv_type type, int id, unsigned key)
{
	static const char *const types[] = {
		[SYSV_SHM] = "shared memory segment",
		[SYSV_SEM] = "semaphore set",
		[SYSV_MSG] = "message queue",
	};
	static char name[64];

	snprintf(name, sizeof(name), "%s %d (key %#x)", types[type], id, key);
	return name;
}

int sysv_policy(const char *name, enum sysv_policy *ret)
{
	*ret = SYSV_OWN;
	if (!name)
		return 0;
	if (!strcmp(name, "keep"))
		*ret = SYSV_KEEP;
	else if (!strcmp(name, "recreate"))
		*ret = SYSV_RECREATE;
	else
		return fail(-EINVAL, "--sysv %s: is none of keep, recreate", name);
	return 0;
}

void sysv_comm(pid_t pid, char *name, size_t size)
{
	auto_free char *comm = NULL;
	char path[32];

	snprintf(path, sizeof(path), "/proc/%d/comm", pid);
	if (file_read(AT_FDCWD, path, &comm) > 0)
		comm[strcspn(comm, "\n")] = '\0';
	snprintf(name, size, "%s", comm && *comm ? comm : "?");
}

/* "7f.. rw-s 00000000 00:01 32769   /SYSV0000002a (deleted)" */
static bool maps_have(const char *maps, int shmid)
{
	for (const char *at = maps; (at = strstr(at, " /SYSV")); at++) {
		const char *line = at;
		unsigned long ino;

		while (line > maps && line[-1] != '\n')
			line--;
		if (sscanf(line, "%*s %*s %*s %*s %lu", &ino) == 1 && ino == (unsigned)shmid)
			return true;
	}
	return false;
}

static bool listed(pid_t pid, const pid_t *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (list[i] == pid)
			return true;
	return false;
}

pid_t sysv_attached(int shmid, const pid_t *skip, size_t n, char *name, size_t size)
{
	auto_dir DIR *dir = opendir("/proc");
	struct dirent *de;

	while (dir && (de = readdir(dir))) {
		pid_t pid = (pid_t)strtol(de->d_name, NULL, 10);
		auto_free char *maps = NULL;
		char path[32];

		if (pid <= 0 || listed(pid, skip, n))
			continue;
		snprintf(path, sizeof(path), "/proc/%d/maps", pid);
		if (file_read(AT_FDCWD, path, &maps) < 0 || !maps_have(maps, shmid))
			continue;
		sysv_comm(pid, name, size);
		return pid;
	}
	return 0;
}

/* "69 0x5 0x7ffd.. ..." (proc_pid_syscall) */
static bool thread_waits(int task, const char *tid, int id, long nr, long other)
{
	auto_free char *text = NULL;
	char path[32];
	unsigned long arg;
	long in;

	snprintf(path, sizeof(path), "%.15s/syscall", tid);
	return file_read(task, path, &text) > 0 && sscanf(text, "%ld %lx", &in, &arg) == 2 &&
	       (in == nr || in == other) && (int)arg == id;
}

static bool process_waits(pid_t pid, int id, long nr, long other)
{
	auto_dir DIR *dir = NULL;
	struct dirent *de;
	char path[32];

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	dir = opendir(path);
	while (dir && (de = readdir(dir)))
		if (de->d_name[0] != '.' && thread_waits(dirfd(dir), de->d_name, id, nr, other))
			return true;
	return false;
}

pid_t sysv_waiting(int id, long nr, long other, const pid_t *skip, size_t n)
{
	auto_dir DIR *dir = opendir("/proc");
	struct dirent *de;

	while (dir && (de = readdir(dir))) {
		pid_t pid = (pid_t)strtol(de->d_name, NULL, 10);

		if (pid > 0 && !listed(pid, skip, n) && process_waits(pid, id, nr, other))
			return pid;
	}
	return 0;
}
