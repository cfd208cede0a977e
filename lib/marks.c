#define _GNU_SOURCE
#include "lib/marks.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

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

const char *marks_forbid(int dir, const char *path, int flags)
{
	struct statx st;

	if (flags & O_PATH || (flags & O_ACCMODE) == O_RDONLY ||
	    statx(dir, path, AT_EMPTY_PATH, 0, &st) < 0)
		return NULL;
	if (st.stx_attributes & STATX_ATTR_IMMUTABLE)
		return "it is immutable, and cannot be opened for writing; chattr -i";
	if (st.stx_attributes & STATX_ATTR_APPEND && !(flags & O_APPEND))
		return "it can only be appended to, and cannot be opened for writing elsewhere; "
		       "chattr -a";
	return NULL;
}

const char *marks_forbid_names(int dir, const char *path)
{
	struct statx st;

	if (statx(dir, path, AT_EMPTY_PATH, 0, &st) < 0)
		return NULL;
	if (st.stx_attributes & STATX_ATTR_IMMUTABLE)
		return "is immutable; chattr -i";
	return st.stx_attributes & STATX_ATTR_APPEND ? "can only be added to; chattr -a" : NULL;
}

bool marks_sound(const struct marks *m)
{
	return !(m->flags & ~FLAGS) && m->rw_hint <= RWH_WRITE_LIFE_EXTREME && !m->sealed;
}
