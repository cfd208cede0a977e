/* What rooms read out of fdinfo: dump/locks.c, dump/epoll.c, dump/inotify.c. */
#include "dump/epoll.c"
#include "dump/inotify.c"
#include "dump/locks.c"

#include "unit.h"

TEST(locks)
{
	Img__Locks__Lock lock = IMG__LOCKS__LOCK__INIT;

	check(lock_parse(
		      "lock:\t1: POSIX  ADVISORY  READ 6063 fe:00:10953011 1073741826 1073742335\n",
		      O_RDONLY, &lock) == 0);
	check(lock.type == IMG__LOCKS__TYPE__POSIX && !lock.write);
	check(lock.start == 1073741826 && lock.end == 1073742335);
	check(lock_parse("lock:\t2: FLOCK  ADVISORY  WRITE 6063 fe:00:1 0 EOF\n", O_RDWR, &lock) ==
	      0);
	check(lock.type == IMG__LOCKS__TYPE__FLOCK && lock.write && lock.end == UINT64_MAX);
	check(lock_parse("lock:\t3: OFDLCK ADVISORY  READ -1 08:01:5 7 7", O_RDWR, &lock) == 0);
	check(lock.type == IMG__LOCKS__TYPE__OFD && lock.start == 7 && lock.end == 7);
}

TEST(leases_and_nonsense)
{
	Img__Locks__Lock lock = IMG__LOCKS__LOCK__INIT;

	check(lock_parse("lock:\t1: LEASE  ACTIVE    READ 6063 fe:00:10953026 0 EOF\n", O_RDONLY,
	                 &lock) == 0);
	check(lock.type == IMG__LOCKS__TYPE__LEASE && !lock.write && !lock.breaking);
	check(lock_parse("lock:\t1: POSIX", O_RDWR, &lock) == -EPROTO);
	check(lock_parse("lock:\t1: POSIX  ADVISORY  READ 1 fe:00:1 0 x", O_RDWR, &lock) ==
	      -EPROTO);
}

static const Img__Locks__Lock *breaking(const char *mode, uint32_t flags)
{
	static Img__Locks__Lock lock;
	char line[80];

	lock = (Img__Locks__Lock)IMG__LOCKS__LOCK__INIT;
	snprintf(line, sizeof(line), "lock:\t1: LEASE  BREAKING  %s 6063 fe:00:10953026 0 EOF\n",
	         mode);
	return lock_parse(line, flags, &lock) == 0 ? &lock : NULL;
}

TEST(leases_that_are_being_broken)
{
	const Img__Locks__Lock *lock = breaking("READ", O_RDONLY);

	check(lock && lock->write && lock->breaking == IMG__LOCKS__BREAKING__TO_READ);
	lock = breaking("UNLCK", O_RDONLY);
	check(lock && !lock->write && lock->breaking == IMG__LOCKS__BREAKING__TO_NONE);
	lock = breaking("UNLCK", O_RDWR);
	check(lock && lock->write && lock->breaking == IMG__LOCKS__BREAKING__TO_NONE);
	check(!breaking("WRITE", O_RDWR));
}

TEST(epoll_rows_with_one_number_are_told_apart)
{
	static char text[] =
		"pos:\t0\nflags:\t02\n"
		"tfd:        9 events:       19 data:                5  pos:0 ino:40e sdev:10\n"
		"tfd:        5 events: 80000001 data: 123456789abcdef0  pos:0 ino:40e sdev:10\n"
		"tfd:        9 events:        0 data:                6  pos:4 ino:40e sdev:10\n";
	struct file f = { .fdinfo = text };
	struct rows rows = {};

	check(rows_read(&f, &rows) == 0 && rows.all.n == 3);
	check(rows.all.v[0].tfd == 5 && rows.all.v[0].events == 0x80000001);
	check(rows.all.v[0].data == 0x123456789abcdef0 && rows.all.v[0].toff == 0);
	check(rows.all.v[1].tfd == 9 && rows.all.v[1].toff == 0 && rows.all.v[1].data == 5);
	check(rows.all.v[2].tfd == 9 && rows.all.v[2].toff == 1 && rows.all.v[2].data == 6);
	check(rows.all.v[2].ino == 0x40e && rows.all.v[2].dev == 0x10);
	array_done(&rows.all);
}

TEST(inotify_watches)
{
	struct watch w = {};

	check(watch_parse("inotify wd:2 ino:35d sdev:fe00000 mask:80000002 ignored_mask:0 "
	                  "fhandle-bytes:8 fhandle-type:1 f_handle:5d030000000000ff\n",
	                  &w) == 0);
	check(w.wd == 2 && w.handle.ino == 0x35d && w.handle.sdev == 0xfe00000 &&
	      w.mask == 0x80000002);
	check(w.handle.head.handle_bytes == 8 && w.handle.head.handle_type == 1);
	check(w.handle.bytes[0] == 0x5d && w.handle.bytes[7] == 0xff);
	check(watch_parse("inotify wd:2 ino:35d", &w) == -EPROTO);
	check(watch_parse("inotify wd:2 ino:3 sdev:1 mask:2 ignored_mask:0 fhandle-bytes:8 "
	                  "fhandle-type:1 f_handle:5d03\n",
	                  &w) == -EPROTO);
	check(watch_parse("inotify wd:2 ino:3 sdev:1 mask:2 ignored_mask:0 fhandle-bytes:ffff "
	                  "fhandle-type:1 f_handle:5d03\n",
	                  &w) == -EPROTO);
}
