/*
 * What the inodes of a deleted file and of memfds bear besides: attributes of chattr(1), how long
 * their data will live (F_SET_RW_HINT), the seal F_SEAL_EXEC of one that can be executed and of one that cannot.
 * "xattr": a memfd with an attribute of xattr(7). "locked": the deleted file is immutable.
 */
#include <fcntl.h>
#include <linux/fs.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "zdtm.h"

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 8u
#endif
#ifndef F_SEAL_EXEC
#define F_SEAL_EXEC 0x20
#endif
#define SOME (FS_NOATIME_FL | FS_NODUMP_FL)

static uint64_t hint_of(int fd)
{
	uint64_t hint = 77;

	return fcntl(fd, F_GET_RW_HINT, &hint) == 0 ? hint : 77;
}

static unsigned flags_of(int fd)
{
	unsigned flags = 0;

	return ioctl(fd, FS_IOC_GETFLAGS, &flags) == 0 ? flags : 0;
}

static mode_t mode_of(int fd)
{
	struct stat st;

	check(fstat(fd, &st) == 0);
	return st.st_mode & 07777;
}

static void unsupported(void)
{
	check(close(open("unsupported", O_WRONLY | O_CREAT, 0600)) == 0);
	_exit(0);
}

int main(int argc, char **argv)
{
	const char *how = argc > 1 ? argv[1] : "";
	uint64_t life = RWH_WRITE_LIFE_LONG;
	int file = open("gone", O_RDWR | O_CREAT, 0600), can, cannot, can_seals, cannot_seals;
	unsigned flags = SOME;
	bool has_flags;

	check(file >= 0 && write(file, "x", 1) == 1 && unlink("gone") == 0);
	check(fcntl(file, F_SET_RW_HINT, &life) == 0);
	flags |= flags_of(file) | (strcmp(how, "locked") ? 0 : FS_IMMUTABLE_FL);
	has_flags = ioctl(file, FS_IOC_SETFLAGS, &flags) == 0; /* this file system may have none */
	if (!has_flags && !strcmp(how, "locked"))
		unsupported();
	can = memfd_create("can be executed", MFD_ALLOW_SEALING);
	cannot = memfd_create("cannot", MFD_NOEXEC_SEAL);
	cannot = cannot < 0 ? memfd_create("cannot", MFD_ALLOW_SEALING) : cannot; /* before 6.3 */
	check(can >= 0 && cannot >= 0 && write(can, "x", 1) == 1 && fchmod(cannot, 0640) == 0);
	if (!strcmp(how, "xattr") && fsetxattr(can, "trusted.colour", "red", 3, 0) < 0)
		unsupported();
	fcntl(can, F_ADD_SEALS, F_SEAL_EXEC);
	check(fcntl(can, F_SET_RW_HINT, &life) == 0);
	can_seals = fcntl(can, F_GET_SEALS);
	cannot_seals = fcntl(cannot, F_GET_SEALS);

	zdtm_park();

	check(hint_of(file) == life && hint_of(can) == life && hint_of(cannot) == 0);
	check(!has_flags || !strcmp(how, "locked") || (flags_of(file) & SOME) == SOME);
	check(fcntl(can, F_GET_SEALS) == can_seals && fcntl(cannot, F_GET_SEALS) == cannot_seals);
	check(mode_of(can) == 0777 && mode_of(cannot) == 0640);
	return zdtm_pass();
}
