/*
 * Nothing leads from a BPF object to the name that it is pinned by: all names of
 * all bpf file systems are looked at, and their objects opened and compared by number.
 */
#include "lib/bpf.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/array.h"
#include "lib/cleanup.h"
#include "lib/fd.h"
#include "lib/procfs.h"

#define DEEP  16 /* directories in each other */
#define LOADS 20 /* tries */

static const char *const ids[] = { "link_id", "map_id",
	                           "prog_id" }; /* a link has that of its program, too */

/* Which is it, and its number? NULL: none. */
static const char *id_of(const char *fdinfo, uint64_t *ret)
{
	for (size_t i = 0; i < ARRAY_SIZE(ids); i++)
		if (fdinfo_u64(fdinfo, ids[i], 10, ret))
			return ids[i];
	return NULL;
}

long bpf_call(int command, union bpf_attr *attr)
{
	long r = syscall(SYS_bpf, command, attr, sizeof(*attr));

	return r < 0 ? -errno : r;
}

int bpf_load(union bpf_attr *attr)
{
	sigset_t alarm, old;
	int r;

	sigemptyset(&alarm);
	sigaddset(&alarm, SIGALRM);
	pthread_sigmask(SIG_BLOCK, &alarm, &old);
	for (int i = 0; (r = (int)bpf_call(BPF_PROG_LOAD, attr)) == -EAGAIN && i < LOADS; i++)
		continue;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return r;
}

void bpf_facts(const char *fdinfo, char ret[static BPF_FACTS])
{
	static const char *const keys[] = { "link_type",   "map_type",  "key_size", "value_size",
		                            "max_entries", "prog_type", "prog_tag" };
	size_t used = 0;

	*ret = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		size_t len;
		const char *value = key_value(fdinfo, keys[i], &len);

		if (value && used < BPF_FACTS)
			used += (size_t)snprintf(ret + used, BPF_FACTS - used, "%s: %.*s\n",
			                         keys[i], (int)len, value);
	}
}

static int own_fdinfo(int fd, char **ret)
{
	char path[48];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/thread-self/fdinfo/%d", fd);
	n = file_read(AT_FDCWD, path, ret);
	return n < 0 ? (int)n : 0;
}

static int object_get(const char *path, unsigned flags)
{
	union bpf_attr attr = {};

	attr.pathname = (uint64_t)(uintptr_t)path;
	attr.file_flags = (flags & O_ACCMODE) == O_RDONLY   ? BPF_F_RDONLY
	                  : (flags & O_ACCMODE) == O_WRONLY ? BPF_F_WRONLY
	                                                    : 0;
	return (int)bpf_call(BPF_OBJ_GET, &attr);
}

int bpf_open_pin(const char *path, unsigned flags, char ret_facts[static BPF_FACTS])
{
	auto_close int fd = object_get(path, flags);
	auto_free char *text = NULL;
	int r = fd < 0 ? fd : own_fdinfo(fd, &text);

	if (r < 0)
		return r;
	bpf_facts(text, ret_facts);
	return take_fd(&fd);
}

/* ---- where is it pinned? ---- */

struct search {
	const char *key;
	uint64_t id;
};

static bool is_it(const struct search *s, const char *path)
{
	auto_close int fd = object_get(path, O_RDWR);
	auto_free char *text = NULL;
	const char *key;
	uint64_t id;

	if (fd == -EPERM || fd == -EACCES)
		fd = object_get(path, O_RDONLY);
	if (fd < 0 || own_fdinfo(fd, &text) < 0)
		return false;
	key = id_of(text, &id);
	return key && !strcmp(key, s->key) && id == s->id;
}

/* 1: there it is, in *RET. */
static int look_below(const struct search *s, const char *path, int deep, char **ret)
{
	auto_dir DIR *dir = opendir(path);
	struct dirent *de;
	int r = 0;

	while (dir && r == 0 && (de = readdir(dir))) {
		auto_free char *name = NULL;

		if (!strcmp(de->d_name, ".") || !strcmp(de->d_name, ".."))
			continue;
		if (asprintf(&name, "%s/%s", path, de->d_name) < 0)
			return -ENOMEM;
		if (de->d_type == DT_DIR && deep < DEEP) {
			r = look_below(s, name, deep + 1, ret);
		} else if (de->d_type == DT_REG && is_it(s, name)) {
			*ret = take_ptr(name);
			r = 1;
		}
	}
	return r;
}

/* The mount point of a line of mountinfo, if that is of a bpf file system. */
static bool mount_of(const char *line, char *path, size_t size)
{
	const char *end = strchr(line, '\n'), *type = strstr(line, " - ");
	size_t len;

	if (!type || (end && type > end) || strncmp(type, " - bpf ", 7) != 0)
		return false;
	for (int i = 0; i < 4; i++)
		line = strchr(line, ' ') + 1;
	len = strcspn(line, " ");
	snprintf(path, size, "%.*s", (int)len, line);
	return len < size && !strchr(path, '\\');
}

int bpf_find_pin(const char *fdinfo, char **ret)
{
	auto_free char *mounts = NULL;
	struct search s = {};
	ssize_t n = file_read(AT_FDCWD, "/proc/self/mountinfo", &mounts);
	int r = n < 0 ? (int)n : 0;

	s.key = id_of(fdinfo, &s.id);
	if (!s.key)
		return -ENOENT;
	for (const char *line = mounts; r == 0 && line && *line;) {
		const char *next = strchr(line, '\n');
		char path[512];

		if (mount_of(line, path, sizeof(path)))
			r = look_below(&s, path, 0, ret);
		line = next ? next + 1 : NULL;
	}
	return r == 0 ? -ENOENT : r < 0 ? r : 0;
}
