/* See cgroup.h. */
#include "lib/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/array.h"
#include "lib/cleanup.h"
#include "lib/fd.h"
#include "lib/log.h"

static const char *const modes[] = {
	[CGROUPS_NONE] = "none", [CGROUPS_PROPS] = "props",   [CGROUPS_SOFT] = "soft",
	[CGROUPS_FULL] = "full", [CGROUPS_STRICT] = "strict", [CGROUPS_IGNORE] = "ignore",
};

int cgroup_mode_parse(const char *name, enum cgroup_mode *ret)
{
	*ret = CGROUPS_BACK;
	for (size_t i = CGROUPS_NONE; name && i < ARRAY_SIZE(modes); i++) {
		if (!strcmp(name, modes[i])) {
			*ret = (enum cgroup_mode)i;
			return 0;
		}
	}
	if (name)
		return fail(
			-EINVAL,
			"--manage-cgroups %s: is none of none, props, soft, full, strict, ignore",
			name);
	return 0;
}

void cgroup_line_done(struct cgroup_line *line)
{
	free(line->hierarchy);
	free(line->group);
	*line = (struct cgroup_line){};
}

/* "4:memory:/a/b", "0::/": the group may have colons in it. */
int cgroup_line_next(const char **at, struct cgroup_line *ret)
{
	const char *line = *at, *end = strchr(line, '\n'), *hierarchy, *group;

	cgroup_line_done(ret);
	if (!*line)
		return 0;
	hierarchy = strchr(line, ':');
	group = hierarchy ? strchr(hierarchy + 1, ':') : NULL;
	if (!end || !group || group > end)
		return -EPROTO;
	*at = end + 1;
	ret->hierarchy = strndup(hierarchy + 1, (size_t)(group - hierarchy - 1));
	ret->group = strndup(group + 1, (size_t)(end - group - 1));
	if (ret->hierarchy && ret->group)
		return 1;
	cgroup_line_done(ret);
	return -ENOMEM;
}

bool cgroup_group_valid(const char *group)
{
	const char *at = group;

	if (*group != '/')
		return false;
	while (at && at[1]) {
		size_t len = strcspn(++at, "/");

		if (len == 0 || (len == 1 && *at == '.') || (len == 2 && !strncmp(at, "..", 2)))
			return false;
		at = strchr(at, '/');
		if (at && !at[1])
			return false;
	}
	return true;
}

/* Is WORD among those of LIST, which have commas between them? */
static bool list_has(const char *list, const char *word, size_t len)
{
	for (const char *at = list; at; at = strchr(at, ',')) {
		at += *at == ',';
		if (strcspn(at, ",\n") == len && !strncmp(at, word, len))
			return true;
	}
	return false;
}

/* Are all controllers of HIERARCHY among the options of a mount? */
static bool options_name(const char *options, const char *hierarchy)
{
	for (const char *at = hierarchy; at; at = strchr(at, ',')) {
		at += *at == ',';
		if (!list_has(options, at, strcspn(at, ",")))
			return false;
	}
	return true;
}

/* mountinfo writes blanks and backslashes as \040. */
static void unescape(char *text)
{
	char *to = text;

	for (const char *at = text; *at; to++) {
		unsigned octal;

		if (*at == '\\' && sscanf(at + 1, "%3o", &octal) == 1) {
			*to = (char)octal;
			at += 4;
		} else {
			*to = *at++;
		}
	}
	*to = '\0';
}

struct mount {
	char root[4096], point[4096], type[32], options[512];
};

/* "31 23 0:28 ROOT POINT rw,relatime shared:9 - TYPE SOURCE OPTIONS" */
static bool mount_parse(const char *line, struct mount *m)
{
	const char *rest = strstr(line, " - ");

	if (!rest || sscanf(line, "%*d %*d %*s %4095s %4095s", m->root, m->point) != 2 ||
	    sscanf(rest, " - %31s %*s %511s", m->type, m->options) != 2)
		return false;
	unescape(m->root);
	unescape(m->point);
	return true;
}

static bool mount_is(const struct mount *m, const char *hierarchy)
{
	if (!*hierarchy)
		return !strcmp(m->type, "cgroup2");
	return !strcmp(m->type, "cgroup") && options_name(m->options, hierarchy);
}

static int path_below(const struct mount *m, const char *group, char **ret)
{
	size_t len = strcmp(m->root, "/") ? strlen(m->root) : 0;

	if (strncmp(group, m->root, len) != 0 || (group[len] && group[len] != '/'))
		return -EXDEV;
	return asprintf(ret, "%s%s", m->point, strcmp(group + len, "/") ? group + len : "") < 0
	               ? -ENOMEM
	               : 0;
}

/* There may be hundreds of others. */
static void keep_cgroups(char *lines)
{
	char *to = lines;

	for (const char *at = lines, *next; *at; at = next) {
		const char *end = strchrnul(at, '\n'), *type = strstr(at, " - ");

		next = end + (*end == '\n');
		if (!type || type > end || strncmp(type, " - cgroup", strlen(" - cgroup")) != 0)
			continue;
		memmove(to, at, (size_t)(next - at));
		to += next - at;
	}
	*to = '\0';
}

static int mounts_read(struct cgroup_mounts *mounts)
{
	ssize_t r = mounts->lines ? 0 : file_read(AT_FDCWD, "/proc/self/mountinfo", &mounts->lines);

	if (r > 0)
		keep_cgroups(mounts->lines);
	return r < 0 ? (int)r : 0;
}

void cgroup_mounts_done(struct cgroup_mounts *mounts)
{
	free(mounts->lines);
	mounts->lines = NULL;
}

int cgroup_path(struct cgroup_mounts *mounts, const char *hierarchy, const char *group, char **ret)
{
	auto_free struct mount *m = malloc(sizeof(*m));
	int r = m ? mounts_read(mounts) : -ENOMEM, result = -ENODEV;

	if (r < 0)
		return r;
	for (const char *line = mounts->lines, *next; *line; line = next) {
		next = strchrnul(line, '\n');
		next += *next == '\n';
		if (!mount_parse(line, m) || !mount_is(m, hierarchy))
			continue;
		result = path_below(m, group, ret);
		if (result != -EXDEV)
			return result;
	}
	return result;
}

/* What is a state, a statistic or a command is none; release_agent is of the root alone. */
static const char *const settings[] = {
	"cgroup.type",
	"cgroup.subtree_control",
	"cgroup.max.depth",
	"cgroup.max.descendants",
	"cgroup.clone_children",
	"notify_on_release",
	"cpu.weight",
	"cpu.max",
	"cpu.max.burst",
	"cpu.idle",
	"cpu.uclamp.*",
	"cpu.shares",
	"cpu.cfs_period_us",
	"cpu.cfs_quota_us",
	"cpu.cfs_burst_us",
	"cpu.rt_period_us",
	"cpu.rt_runtime_us",
	"cpuset.cpus",
	"cpuset.mems",
	"cpuset.cpus.exclusive",
	"cpuset.cpus.partition",
	"cpuset.cpu_exclusive",
	"cpuset.mem_exclusive",
	"cpuset.mem_hardwall",
	"cpuset.memory_migrate",
	"cpuset.memory_spread_page",
	"cpuset.memory_spread_slab",
	"cpuset.sched_load_balance",
	"cpuset.sched_relax_domain_level",
	"memory.min",
	"memory.low",
	"memory.high",
	"memory.max",
	"memory.oom.group",
	"memory.swap.high",
	"memory.swap.max",
	"memory.zswap.max",
	"memory.zswap.writeback",
	"memory.limit_in_bytes",
	"memory.soft_limit_in_bytes",
	"memory.memsw.limit_in_bytes",
	"memory.swappiness",
	"memory.kmem.tcp.limit_in_bytes",
	"io.max",
	"io.weight",
	"io.latency",
	"io.bfq.weight",
	"io.prio.class",
	"blkio.weight",
	"blkio.weight_device",
	"blkio.bfq.weight",
	"blkio.bfq.weight_device",
	"blkio.throttle.*_device",
	"blkio.prio.class",
	"pids.max",
	"misc.max",
	"rdma.max",
	"hugetlb.*.max",
	"hugetlb.*.limit_in_bytes",
	"net_cls.classid",
	"net_prio.ifpriomap",
	"devices.list",
};

bool cgroup_is_setting(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(settings); i++)
		if (fnmatch(settings[i], name, FNM_PATHNAME) == 0)
			return true;
	return false;
}
