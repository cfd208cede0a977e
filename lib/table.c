#include "lib/table.h"

#include <linux/kcmp.h>
#include <sched.h>

const struct table_type table_types[TABLES] = {
	[TABLE_VM] = { KCMP_VM, CLONE_VM, "memory" },
	[TABLE_FILES] = { KCMP_FILES, CLONE_FILES, "descriptors" },
	[TABLE_FS] = { KCMP_FS, CLONE_FS, "working directory" },
	[TABLE_SIGHAND] = { KCMP_SIGHAND, CLONE_SIGHAND, "signal handlers" },
};
