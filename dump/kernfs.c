#include "dump/kernfs.h"

#include <linux/magic.h>
#include <stdio.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

#ifndef CONFIGFS_MAGIC
#define CONFIGFS_MAGIC 0x62656570
#endif
#define FUSECTL_MAGIC 0x65735543

static bool is_known(uint64_t type)
{
	static const uint64_t types[] = {
		PROC_SUPER_MAGIC, SYSFS_MAGIC,          CGROUP_SUPER_MAGIC,   CGROUP2_SUPER_MAGIC,
		DEBUGFS_MAGIC,    TRACEFS_MAGIC,        SECURITYFS_MAGIC,     CONFIGFS_MAGIC,
		SELINUX_MAGIC,    RDTGROUP_SUPER_MAGIC, BINDERFS_SUPER_MAGIC, FUSECTL_MAGIC,
	};

	for (size_t i = 0; i < ARRAY_SIZE(types); i++)
		if (type == types[i])
			return true;
	return false;
}

bool file_is_kernel(const struct file *f)
{
	struct statfs fs;
	char path[80];

	/* None of them is on a device, which spares most files the look. */
	if (major(f->st.st_dev))
		return false;
	snprintf(path, sizeof(path), "/proc/%d/%s", task_tid(f->task), f->at);
	return statfs(path, &fs) == 0 && is_known((uint64_t)fs.f_type);
}
