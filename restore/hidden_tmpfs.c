#include "restore/hidden_tmpfs.h"

#include <errno.h>
#include <stddef.h>
#include <sys/mount.h>

#include "lib/cleanup.h"

int hidden_tmpfs(void)
{
	auto_close int fs = fsopen("tmpfs", FSOPEN_CLOEXEC);
	int fd;

	if (fs < 0 || fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return -errno;
	fd = fsmount(fs, FSMOUNT_CLOEXEC, 0);
	return fd < 0 ? -errno : fd;
}
