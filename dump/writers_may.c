/*
 * Work done in a helper is charged to the task: the page cache that it fills to the memory cgroup of whoever owns
 * the memory, what it writes to the limits and the scheduling that it has inherited. So there are none but where
 * none of this can bite: limits of cgroups are those of crtool, or there are none.
 */
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <string.h>
#include <sys/resource.h>

#include "dump/writers.h"
#include "lib/cgroup.h"
#include "lib/cleanup.h"
#include "lib/fd.h"
#include "lib/log.h"
#include "lib/procfs.h"
#include "lib/procstate.h"

/* The files of a cgroup that limit what a helper takes, and what they say if they do not. */
static const struct {
	const char *file, *free;
} limits[] = {
	{ "memory.max", "max" },
	{ "memory.high", "max" },
	{ "cpu.max", "max" },
	{ "io.max", "" },
	{ "cpu.cfs_quota_us", "-1" },
	{ "blkio.throttle.write_bps_device", "" },
	{ "memory.limit_in_bytes", "9223372036854771712" },
};

/* "max 100000" begins as "max". */
static bool says(const char *text, const char *free)
{
	size_t n = strlen(free);

	return n ? !strncmp(text, free, n) && !strchr("0123456789", text[n] ? text[n] : ' ')
	         : !*text || *text == '\n';
}

static bool directory_is_free(const char *path)
{
	char file[PATH_MAX];

	for (size_t i = 0; i < ARRAY_SIZE(limits); i++) {
		auto_free char *text = NULL;

		if ((size_t)snprintf(file, sizeof(file), "%s/%s", path, limits[i].file) >=
		    sizeof(file))
			return false;
		if (file_read(AT_FDCWD, file, &text) >= 0 && !says(text, limits[i].free))
			return false;
	}
	return true;
}

/* It and all above it. */
static bool group_is_free(struct cgroup_mounts *mounts, struct cgroup_line *line)
{
	for (char *slash = line->group + strlen(line->group); slash;
	     slash = strrchr(line->group, '/')) {
		auto_free char *path = NULL;

		*slash = '\0';
		if (cgroup_path(mounts, line->hierarchy, *line->group ? line->group : "/", &path) <
		            0 ||
		    !directory_is_free(path))
			return false;
	}
	return true;
}

static bool is_same_or_free(const char *ours, const char *theirs)
{
	auto_(cgroup_mounts_done) struct cgroup_mounts mounts = {};
	const char *a = ours, *b = theirs;
	bool ok = true;
	int more = 1;

	while (ok && more > 0) {
		auto_(cgroup_line_done) struct cgroup_line mine = {}, its = {};

		more = cgroup_line_next(&a, &mine);
		if (cgroup_line_next(&b, &its) != more)
			return false;
		if (more > 0)
			ok = !strcmp(mine.hierarchy, its.hierarchy) &&
			     (!strcmp(mine.group, its.group) || group_is_free(&mounts, &its));
	}
	return ok && more == 0;
}

static bool cgroups_allow(const struct task *t)
{
	auto_free char *ours = NULL, *theirs = NULL;

	if (file_read(AT_FDCWD, "/proc/self/cgroup", &ours) < 0 ||
	    file_read(t->proc, "cgroup", &theirs) < 0)
		return false;
	return !strcmp(ours, theirs) || is_same_or_free(ours, theirs);
}

static bool limits_allow(const struct task *t)
{
	auto_free char *text = NULL;
	struct limit_text list[LIMITS];

	return file_read_record(t->proc, "limits", &text) >= 0 && limits_parse(text, list) >= 0 &&
	       list[RLIMIT_FSIZE].soft == UINT64_MAX && list[RLIMIT_CPU].soft == UINT64_MAX;
}

/* No slower than crtool would be, and of no consequence to others who are to be on time. */
static bool scheduling_allows(const struct task *t)
{
	int own = getpriority(PRIO_PROCESS, 0);

	return t->stat.field[STAT_POLICY] == SCHED_OTHER &&
	       (int64_t)t->stat.field[STAT_NICE] <= own;
}

bool writers_may(const struct dump *d, const struct task *t)
{
	const char *why = !limits_allow(t)
	                          ? "it has a limit to the size of files, or to its CPU time"
	                  : !scheduling_allows(t) ? "its scheduling is not crtool's"
	                  : !cgroups_allow(t)     ? "its cgroups are limited"
	                                          : NULL;

	if (why)
		debug("%s: does not write its memory itself: %s", task_name(t), why);
	return !why;
}
