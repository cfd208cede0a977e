#include "lib/marks.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>

#define FLAGS                                                                            \
	((uint32_t)(FS_SECRM_FL | FS_UNRM_FL | FS_COMPR_FL | FS_SYNC_FL | FS_NODUMP_FL | \
	            FS_NOATIME_FL | FS_NOCOMP_FL | FS_JOURNAL_DATA_FL | FS_DIRSYNC_FL |  \
	            FS_NOCOW_FL))

struct marks marks_read(int fd)
{
	struct marks m = {};
	unsigned flags = 0;
	uint64_t hint;

	if (ioctl(fd, FS_IOC_GETFLAGS, &flags) == 0) {
		m.flags = flags & FLAGS;
		m.sealed = flags & (FS_IMMUTABLE_FL | FS_APPEND_FL);
	}
	if (fcntl(fd, F_GET_RW_HINT, &hint) == 0)
		m.rw_hint = hint;
	return m;
}

int marks_write(int fd, const struct marks *m)
{
	unsigned flags;

	if (m->rw_hint && fcntl(fd, F_SET_RW_HINT, &m->rw_hint) < 0)
		return -errno;
	if (!m->flags)
		return 0;
	if (ioctl(fd, FS_IOC_GETFLAGS, &flags) < 0)
		return -errno;
	flags = (flags & ~FLAGS) | m->flags;
	return ioctl(fd, FS_IOC_SETFLAGS, &flags) < 0 ? -errno : 0;
}

bool marks_sound(const struct marks *m)
{
	return !(m->flags & ~FLAGS) && m->rw_hint <= RWH_WRITE_LIFE_EXTREME && !m->sealed;
}
