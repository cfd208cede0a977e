/*
 * cgroups(7), both versions: where the directory of a cgroup is, and which of its files are
 * settings of it. A hierarchy is named by its controllers as in /proc/PID/cgroup ("cpu,cpuacct",
 * "name=systemd"), that of version 2 by "".
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* --manage-cgroups */
enum cgroup_mode {
	CGROUPS_BACK,   /* not given: back into those that are there, the others are told */
	CGROUPS_NONE,   /* back; all must be there */
	CGROUPS_PROPS,  /* and have their settings written */
	CGROUPS_SOFT,   /* missing ones are made, with their settings */
	CGROUPS_FULL,   /* missing ones are made; all have their settings written */
	CGROUPS_STRICT, /* none may be there but crtool's own; all are made, with their settings */
	CGROUPS_IGNORE, /* nobody is asked, nobody is moved */
};

/* -EINVAL, explained. NULL: CGROUPS_BACK. */
int cgroup_mode_parse(const char *name, enum cgroup_mode *ret);

/* One line of /proc/PID/cgroup, in fresh memory. */
struct cgroup_line {
	char *hierarchy, *group;
};
void cgroup_line_done(struct cgroup_line *line);

/* The next line at *AT: 1, 0 at the end, -ENOMEM, -EPROTO. */
int cgroup_line_next(const char **at, struct cgroup_line *ret);

/* Does GROUP start at the root, without "." and ".."? */
bool cgroup_group_valid(const char *group);

/* Where hierarchies are mounted, read once: {} at first. */
struct cgroup_mounts {
	char *lines; /* of mountinfo, those of cgroups */
};
void cgroup_mounts_done(struct cgroup_mounts *m);

/*
 * The directory of a cgroup, in a fresh string. -ENODEV: its hierarchy is mounted nowhere;
 * -EXDEV: it lies outside of what is mounted.
 */
int cgroup_path(struct cgroup_mounts *mounts, const char *hierarchy, const char *group, char **ret);

/* Is the file NAME of a cgroup a setting of it that can be written back? */
bool cgroup_is_setting(const char *name);
