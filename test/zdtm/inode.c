/*
 * What no path leads to any more: deleted files and directories, however they are held.
 *
 *	inode [many | names | tmpfile | tmpfile_written | tmpfile_excl | directory | directory_read | nofollow |
 *	       replaced | sparse | path | linked | links | half | hidden | chroot]
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "maps.h"
#include "zdtm.h"

#define PAGE 4096

static struct maps before, after;

static int make(const char *name, const char *text)
{
	int fd = open(name, O_RDWR | O_CREAT | O_EXCL, 0640);

	check(fd >= 0);
	check(write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	return fd;
}

static ino_t inode_of(int fd)
{
	struct stat st;

	check(fstat(fd, &st) == 0);
	return st.st_ino;
}

static bool holds(int fd, off_t at, const char *want)
{
	char text[64];
	size_t n = strlen(want);

	return pread(fd, text, n, at) == (ssize_t)n && !memcmp(text, want, n);
}

static void *map(int fd, int prot, int flags)
{
	void *at = mmap(NULL, PAGE, prot, flags, fd, 0);

	check(at != MAP_FAILED);
	return at;
}

/* A child that has it all, too: it waits for a byte that its parent writes. */
static pid_t follower(volatile char *shared, int fd)
{
	pid_t child = fork();

	check(child >= 0);
	if (child)
		return child;
	while (shared[4] != 'c')
		zdtm_nap();
	_exit(holds(fd, 4, "c") ? 0 : 1);
}

/* Two descriptions, a duplicate, three mappings and a child: one inode. */
static void test_many(void)
{
	const struct timespec times[] = { { 1000, 7 }, { 2000, 9 } };
	int fd = make("gone", "0123456789"), again = open("gone", O_RDONLY), copy = dup(fd), status;
	char *shared = map(fd, PROT_READ | PROT_WRITE, MAP_SHARED);
	char *priv = map(fd, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	char *seen = map(again, PROT_READ, MAP_SHARED);
	bool xattr = fsetxattr(fd, "user.colour", "red", 3, 0) == 0;
	struct stat a, b;
	char text[4];
	pid_t child;

	check(fchown(fd, 12, 34) == 0 && fchmod(fd, 0604) == 0);
	shared[1] = 's', priv[2] = 'p';
	check(unlink("gone") == 0 && lseek(fd, 3, SEEK_SET) == 3);
	child = follower(shared, again);
	maps_take(&before);
	check(futimens(fd, times) == 0 && fstat(fd, &a) == 0);

	zdtm_park();

	check(fstat(fd, &b) == 0);
	check(b.st_nlink == 0 && b.st_uid == 12 && b.st_gid == 34 && b.st_mode == a.st_mode);
	check(b.st_size == 10 && b.st_atim.tv_sec == 1000 && b.st_mtim.tv_nsec == 9);
	maps_take(&after);
	check(maps_same(&before, &after));
	check(inode_of(fd) == inode_of(again) && inode_of(fd) == inode_of(copy));
	check(!xattr || (fgetxattr(fd, "user.colour", text, 4) == 3 && !memcmp(text, "red", 3)));
	check(lseek(copy, 0, SEEK_CUR) == 3 && lseek(again, 0, SEEK_CUR) == 0);
	check(holds(again, 0, "0s23456789") && priv[2] == 'p' && shared[2] == '2');
	check(pwrite(fd, "x", 1, 9) == 1 && shared[9] == 'x' && seen[9] == 'x');
	shared[4] = 'c';
	check(waitpid(child, &status, 0) == child && status == 0);
	check(access("gone", F_OK) < 0);
}

static void linked_to(int fd, const char *end)
{
	char link[64], path[PATH_MAX];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof(path) - 1);
	check(n > 0);
	path[n] = '\0';
	check((size_t)n > strlen(end) && !strcmp(path + n - strlen(end), end));
}

/* Names that look like something else; one that was taken again, one that was moved before. */
static void test_names(void)
{
	int suffix = make("odd (deleted)", "1"), line = make("a\nb", "2"),
	    taken = make("taken", "3");
	int moved = make("before", "4"), twice = make("twice", "5"),
	    there = make("is (deleted)", "6");
	char *mapped = map(line, PROT_READ, MAP_SHARED);

	check(unlink("odd (deleted)") == 0 && unlink("a\nb") == 0 && unlink("taken") == 0);
	check(close(make("taken", "new")) == 0);
	check(rename("before", "behind") == 0 && unlink("behind") == 0);
	check(unlink("twice") == 0);
	maps_take(&before);

	zdtm_park();

	maps_take(&after);
	check(maps_same(&before, &after));
	check(holds(suffix, 0, "1") && holds(line, 0, "2") && holds(taken, 0, "3"));
	check(holds(moved, 0, "4") && holds(twice, 0, "5") && holds(there, 0, "6"));
	check(*mapped == '2');
	linked_to(suffix, "/odd (deleted) (deleted)");
	linked_to(line, "/a\nb (deleted)");
	linked_to(taken, "/taken (deleted)");
	linked_to(moved, "/behind (deleted)");
	linked_to(there, "/is (deleted)");
	check(access("is (deleted)", F_OK) == 0);
	check(holds(open("taken", O_RDONLY), 0, "new"));
	check(unlink("taken") == 0 && unlink("is (deleted)") == 0);
}

/* A file that never had a name can still be given one. */
/* It is open once more, under a lower number, and mapped. */
static void nameless(int how, int linked)
{
	int fd = open(".", how | O_TMPFILE, 0640), flags, other, high;
	char link[64], *map;

	check(fd >= 0);
	flags = fcntl(fd, F_GETFL);
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	check(write(fd, "text", 4) == 4);
	high = fcntl(fd, F_DUPFD, 30);
	other = open(link, O_RDWR);
	check(other >= 0 && high >= 30 && close(fd) == 0);
	map = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, other, 0);
	check(map != MAP_FAILED);
	snprintf(link, sizeof(link), "/proc/self/fd/%d", high);

	zdtm_park();

	check(fcntl(high, F_GETFL) == flags);
	check(holds(other, 0, "text") && inode_of(high) == inode_of(other));
	check(lseek(high, 0, SEEK_CUR) == 4 && write(high, "more", 4) == 4);
	check(!memcmp(map, "textmore", 8));
	check(linkat(AT_FDCWD, link, AT_FDCWD, "named", AT_SYMLINK_FOLLOW) == linked);
	check(linked == 0 || errno == ENOENT);
	check(linked < 0 ||
	      (holds(open("named", O_RDONLY), 0, "textmore") && unlink("named") == 0));
}

static void test_tmpfile(void)
{
	nameless(O_RDWR, 0);
}

static void test_tmpfile_written(void)
{
	nameless(O_WRONLY | O_DSYNC | O_APPEND, 0);
}

static void test_tmpfile_excl(void)
{
	nameless(O_RDWR | O_EXCL, -1);
}

/* A deleted directory, open and worked in, with another one and a file that were in it. */
static void test_directory(void)
{
	int outer, inner, file, fd;
	char path[PATH_MAX];
	struct stat a, b;

	check(mkdir("outer", 0710) == 0 && mkdir("outer/inner", 0750) == 0);
	outer = open("outer", O_RDONLY | O_DIRECTORY);
	inner = open("outer/inner", O_PATH);
	file = make("outer/inner/file", "text");
	check(outer >= 0 && inner >= 0 && chdir("outer/inner") == 0);
	check(unlink("file") == 0 && rmdir("../inner") == 0);
	check(rmdir("../../outer") == 0 && fstat(outer, &a) == 0);

	zdtm_park();

	check(!getcwd(path, sizeof(path)) && errno == ENOENT);
	check(stat(".", &b) == 0 && b.st_ino == inode_of(inner) && b.st_nlink == 0);
	check((b.st_mode & 07777) == 0750);
	check(stat("..", &b) == 0 && b.st_ino == inode_of(outer) && b.st_mode == a.st_mode);
	check(holds(file, 0, "text"));
	linked_to(file, "/outer/inner/file (deleted)");
	fd = openat(outer, "new", O_CREAT | O_RDWR, 0600);
	check(fd < 0 && errno == ENOENT);
}

/* A deleted directory that was read to its end, which its file system counts in a way of its own. */
static void test_directory_read(void)
{
	char buf[4096];
	int fd;

	check(mkdir("read", 0700) == 0 && close(make("read/file", "text")) == 0);
	fd = open("read", O_RDONLY | O_DIRECTORY);
	while (syscall(SYS_getdents64, fd, buf, sizeof(buf)) > 0)
		continue;
	check(lseek(fd, 0, SEEK_CUR) > 0 && unlink("read/file") == 0 && rmdir("read") == 0);

	zdtm_park();

	check(syscall(SYS_getdents64, fd, buf, sizeof(buf)) < 0 && errno == ENOENT);
}

/* The directory where it was has made way for a file. */
static void test_replaced(void)
{
	int inner, file, dir, fd;

	check(mkdir("was", 0700) == 0 && mkdir("was/deep", 0700) == 0);
	inner = make("was/deep/file", "text");
	dir = open("was/deep", O_RDONLY | O_DIRECTORY);
	fd = open("was/deep", O_RDWR | O_TMPFILE, 0600);
	check(dir >= 0 && fd >= 0 && write(fd, "nameless", 8) == 8);
	check(unlink("was/deep/file") == 0 && rmdir("was/deep") == 0 && rmdir("was") == 0);
	file = make("was", "a file now");

	zdtm_park();

	check(holds(inner, 0, "text") && holds(file, 0, "a file now") && holds(fd, 0, "nameless"));
	linked_to(inner, "/was/deep/file (deleted)");
	check(holds(open("was", O_RDONLY), 0, "a file now"));
}

/* As shm_open(3) opens. */
static void test_nofollow(void)
{
	int fd = open("shared", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600), flags, other;

	flags = fcntl(fd, F_GETFL);
	other = open("shared", O_WRONLY | O_NOFOLLOW | O_APPEND);
	check(fd >= 0 && other >= 0 && flags & O_NOFOLLOW);
	check(write(other, "text", 4) == 4 && unlink("shared") == 0);

	zdtm_park();

	check(fcntl(fd, F_GETFL) == flags);
	check((fcntl(other, F_GETFL) & (O_ACCMODE | O_APPEND | O_NOFOLLOW)) ==
	      (O_WRONLY | O_APPEND | O_NOFOLLOW));
	check(write(other, "more", 4) == 4 && holds(fd, 0, "textmore"));
	linked_to(fd, "/shared (deleted)");
}

static off_t data_of(int fd)
{
	struct stat st;

	check(fstat(fd, &st) == 0);
	return (off_t)st.st_blocks * 512;
}

/* Nearly all holes, and far beyond what is there. */
static void test_sparse(void)
{
	const off_t far = (off_t)1 << 36, end = far + 12345;
	int fd = make("holes", "start");

	check(unlink("holes") == 0 && ftruncate(fd, end) == 0);
	check(pwrite(fd, "middle", 6, 1 << 20) == 6 && pwrite(fd, "far", 3, far) == 3);

	zdtm_park();

	check(lseek(fd, 0, SEEK_END) == end && data_of(fd) < 1 << 20);
	check(holds(fd, 0, "start") && holds(fd, 1 << 20, "middle") && holds(fd, far, "far"));
	check(lseek(fd, 64 << 10, SEEK_DATA) == 1 << 20);
}

/* All sorts of things that are open with O_PATH alone, there and deleted. */
static void test_path(void)
{
	static const struct {
		const char *name;
		mode_t type;
	} all[] = { { "regular", S_IFREG }, { "fifo", S_IFIFO }, { "socket", S_IFSOCK },
		    { "device", S_IFCHR },  { "link", S_IFLNK }, { "directory", S_IFDIR } };
	int fds[2][6];
	char text[8];
	struct stat st;

	for (size_t i = 0; i < 12; i++) {
		const char *name = all[i % 6].name;
		mode_t type = all[i % 6].type;

		check((type == S_IFLNK ? symlink("target", name)
		       : type == S_IFDIR
		               ? mkdir(name, 0700)
		               : mknod(name, type | 0600, type == S_IFCHR ? 0x103 : 0)) == 0);
		fds[i / 6][i % 6] = open(name, O_PATH | O_NOFOLLOW);
		check(fds[i / 6][i % 6] >= 0);
		check(i / 6 || (type == S_IFDIR ? rmdir(name) : unlink(name)) == 0);
	}

	zdtm_park();

	for (size_t i = 0; i < 12; i++) {
		check(fstat(fds[i / 6][i % 6], &st) == 0);
		check((st.st_mode & S_IFMT) == all[i % 6].type && (i >= 6) == (st.st_nlink > 0));
		check(all[i % 6].type != S_IFCHR || st.st_rdev == 0x103);
	}
	check(readlinkat(fds[0][4], "", text, 8) == 6 && !memcmp(text, "target", 6));
	for (size_t i = 0; i < 6; i++)
		check((all[i].type == S_IFDIR ? rmdir(all[i].name) : unlink(all[i].name)) == 0);
}

/* The name is gone, but the file has another one, elsewhere. */
static void test_linked(void)
{
	int fd = make("one", "text");

	check(mkdir("there", 0700) == 0 && link("one", "there/two") == 0 && unlink("one") == 0);

	zdtm_park();

	check(inode_of(fd) == inode_of(open("there/two", O_RDONLY)) && holds(fd, 0, "text"));
	check(pwrite(fd, "w", 1, 0) == 1 && holds(open("there/two", O_RDONLY), 0, "wext"));
	check(unlink("there/two") == 0 && rmdir("there") == 0);
}

/* It had several names, and is held by each of them; all are gone. */
static void test_links(void)
{
	int a = make("a", "text"), b, d;
	char *c;

	check(link("a", "b") == 0 && link("a", "c") == 0 && mkdir("deep", 0700) == 0);
	check(link("a", "deep/d") == 0);
	b = open("b", O_RDWR | O_APPEND), d = open("c", O_RDWR);
	c = map(d, PROT_READ | PROT_WRITE, MAP_SHARED);
	check(close(d) == 0);
	d = open("deep/d", O_PATH);
	check(unlink("a") == 0 && unlink("b") == 0 && unlink("c") == 0);
	check(unlink("deep/d") == 0 && rmdir("deep") == 0);

	zdtm_park();

	check(inode_of(a) == inode_of(b) && inode_of(a) == inode_of(d));
	check(write(b, "more", 4) == 4 && holds(a, 0, "textmore") && !memcmp(c, "textmore", 8));
	c[0] = 'T';
	check(holds(b, 0, "Textmore") && fcntl(d, F_GETFL) & O_PATH);
	check(access("a", F_OK) < 0 && access("b", F_OK) < 0 && access("deep", F_OK) < 0);
}

/* Some of its names are gone; it is held by one of these and by one that is there, and mapped by both. */
static void test_half(void)
{
	int gone = make("one", "text"), there, dir;
	char *by_gone = map(gone, PROT_READ | PROT_WRITE, MAP_SHARED), *by_there;

	check(mkdir("there", 0700) == 0 && link("one", "there/two") == 0);
	check(link("one", "there/three") == 0 && unlink("one") == 0);
	there = open("there/two", O_RDWR);
	by_there = map(there, PROT_READ | PROT_EXEC, MAP_PRIVATE);
	dir = open("there", O_RDONLY | O_DIRECTORY);

	zdtm_park();

	check(inode_of(gone) == inode_of(there) && holds(there, 0, "text"));
	by_gone[0] = 'T';
	check(holds(there, 0, "Text") && by_there[0] == 'T');
	check(inode_of(openat(dir, "three", O_RDONLY)) == inode_of(gone));
	check(unlink("there/two") == 0 && unlink("there/three") == 0 && rmdir("there") == 0);
}

/* A directory, a file in it, and where it works: something else is mounted over them meanwhile. */
static void test_hidden(void)
{
	int dir, file;
	struct stat st;

	check(mkdir("over", 0710) == 0 && mkdir("over/in", 0700) == 0);
	dir = open("over", O_RDONLY | O_DIRECTORY);
	file = make("over/file", "text");
	check(dir >= 0 && chdir("over/in") == 0);

	zdtm_park();

	check(inode_of(openat(dir, "file", O_RDONLY)) == inode_of(file) && holds(file, 0, "text"));
	check(stat("..", &st) == 0 && st.st_ino == inode_of(dir) && st.st_nlink == 3);
	check(pwrite(file, "w", 1, 0) == 1 && holds(openat(dir, "file", O_RDONLY), 0, "wext"));
}

/* Another root: paths mean something else to the program than to us. */
static void test_chroot(void)
{
	int outside = open("../outside", O_RDWR | O_CREAT | O_TRUNC, 0600);
	int inside = make("file", "inside"), gone = make("gone", "gone");

	check(outside >= 0 && write(outside, "outside", 7) == 7 && mkdir("work", 0755) == 0);
	/* The harness talks through absolute paths: inside, they lead back to the root by a link. */
	check(system("mkdir -p .${PWD%/*} && ln -s / .$PWD") == 0);
	check(chroot(".") == 0 && chdir("/work") == 0 && unlink("/gone") == 0);

	zdtm_park();

	check(holds(inside, 0, "inside") && holds(outside, 0, "outside") && holds(gone, 0, "gone"));
	check(inode_of(open("/file", O_RDONLY)) == inode_of(inside));
	check(access("../work", F_OK) == 0 && access("/work", F_OK) == 0);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(void);
	} tests[] = {
		{ "many", test_many },
		{ "names", test_names },
		{ "tmpfile", test_tmpfile },
		{ "directory", test_directory },
		{ "sparse", test_sparse },
		{ "path", test_path },
		{ "directory_read", test_directory_read },
		{ "nofollow", test_nofollow },
		{ "replaced", test_replaced },
		{ "linked", test_linked },
		{ "links", test_links },
		{ "half", test_half },
		{ "hidden", test_hidden },
		{ "chroot", test_chroot },
		{ "tmpfile_written", test_tmpfile_written },
		{ "tmpfile_excl", test_tmpfile_excl },
	};

	for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
		if (argc != 2 || strcmp(argv[1], tests[i].name) != 0)
			continue;
		tests[i].run();
		return zdtm_pass();
	}
	check(!"such a test");
}
