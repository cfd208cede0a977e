/*
 * Settings of cgroups depend on each other (a memory limit and that of memory with swap, the CPUs of a
 * cpuset and its being exclusive), in an order that changes with the way that they move: what is refused
 * is tried again when the others are written.
 */
#include "restore/cgroup_props.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/fd.h"
#include "lib/log.h"

#define ROUNDS 3

static bool is_so(int dir, const Img__CgroupDir__Prop *prop)
{
	auto_free char *now = NULL;

	return file_read(dir, prop->name, &now) >= 0 && !strcmp(now, prop->value);
}

/* Controllers are enabled by "+cpu +memory". */
static int write_controllers(int dir, const char *value)
{
	auto_free char *words = strdup(value);

	if (!words)
		return -ENOMEM;
	for (char *save, *word = strtok_r(words, " \n", &save); word;
	     word = strtok_r(NULL, " \n", &save)) {
		char text[64];
		int r;

		snprintf(text, sizeof(text), "+%s", word);
		r = file_write(dir, "cgroup.subtree_control", text);
		if (r < 0)
			return r;
	}
	return 0;
}

/* A table of devices takes a line at a time. */
static int write_lines(int dir, const char *name, const char *value)
{
	auto_free char *lines = strdup(value);

	if (!lines)
		return -ENOMEM;
	if (!*lines || !strcmp(lines, "\n"))
		return file_write(dir, name, "\n");
	for (char *save, *line = strtok_r(lines, "\n", &save); line;
	     line = strtok_r(NULL, "\n", &save)) {
		int r = file_write(dir, name, line);

		if (r < 0)
			return r;
	}
	return 0;
}

static int write_prop(int dir, const Img__CgroupDir__Prop *prop)
{
	int r;

	if (is_so(dir, prop))
		return 0;
	if (!strcmp(prop->name, "cgroup.subtree_control"))
		return write_controllers(dir, prop->value);
	/* That a cgroup became the domain of others follows from these. */
	if (!strcmp(prop->name, "cgroup.type"))
		return strcmp(prop->value, "threaded\n") ? 0
		                                         : file_write(dir, prop->name, "threaded");
	if (strcmp(prop->name, "devices.list") != 0)
		return write_lines(dir, prop->name, prop->value);
	r = file_write(dir, "devices.deny", "a");
	return r < 0 ? r : write_lines(dir, "devices.allow", prop->value);
}

int cgroup_write_props(const char *path, const Img__CgroupDir *msg)
{
	auto_close int dir = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	const char *failed = NULL;
	int error = dir < 0 ? -errno : 0;

	for (int round = 0; dir >= 0 && round < ROUNDS; round++) {
		error = 0;
		for (size_t i = 0; i < msg->n_props; i++) {
			int r = write_prop(dir, msg->props[i]);

			if (r == -ENOENT && round == 0)
				lose("cgroup %s:%s: %s, which this kernel does not have there",
				     msg->hierarchy, msg->group, msg->props[i]->name);
			if (r < 0 && r != -ENOENT)
				error = r, failed = msg->props[i]->name;
		}
		if (error == 0)
			return 0;
	}
	return fail(error, "cgroup %s:%s: write %s", msg->hierarchy, path, failed ? failed : "");
}
