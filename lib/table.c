#include "lib/table.h"

#include <linux/kcmp.h>
#include <sched.h>

const struct table_type table_types[TABLES] = {
	[TABLE_VM] = { KCMP_VM, CLONE_VM, "memory", false },
	[TABLE_FILES] = { KCMP_FILES, CLONE_FILES, "descriptors", false },
	[TABLE_FS] = { KCMP_FS, CLONE_FS, "working directory", false },
	[TABLE_SIGHAND] = { KCMP_SIGHAND, CLONE_SIGHAND, "signal handlers", false },
	[TABLE_SYSVSEM] = { KCMP_SYSVSEM, CLONE_SYSVSEM, "semaphore operations to undo", true },
	[TABLE_IO] = { KCMP_IO, CLONE_IO, "I/O context", true },
};
