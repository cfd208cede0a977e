/*
 * The name of a unix socket is the text that was bound, and beside it the file
 * that it stood for at that time. A restore binds the text again, so it must know
 * from where it led to that file: the root or working directory of the task. Where
 * nothing leads there - the file was removed, or another one bears its name -
 * the name is the text alone.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

#include "dump/sk_unix.h"
#include "lib/cleanup.h"
#include "lib/fd.h"

#define SIOCUNIXFILE 0x89E0 /* linux/un.h */

bool unix_address_get(int fd, bool peer, struct unix_address *ret)
{
	socklen_t len = sizeof(ret->un);
	int r = peer ? getpeername(fd, (struct sockaddr *)&ret->un, &len)
	             : getsockname(fd, (struct sockaddr *)&ret->un, &len);
	size_t head = offsetof(struct sockaddr_un, sun_path);

	ret->len = 0;
	if (r < 0 || len <= head)
		return false;
	ret->len = len - head < sizeof(ret->un.sun_path) ? len - head : sizeof(ret->un.sun_path);
	if (ret->un.sun_path[0])
		ret->len = strnlen(ret->un.sun_path, ret->len);
	return true;
}

const char *unix_address_text(const struct unix_address *a)
{
	static char text[sizeof(a->un.sun_path) + 2];
	bool hidden = a->len && !a->un.sun_path[0];

	snprintf(text, sizeof(text), "%s%.*s", hidden ? "@" : "", (int)a->len - hidden,
	         a->un.sun_path + hidden);
	return text;
}

/* Does PATH lead to that file from the directory DIR, as a root or not? */
static bool leads_to(int dir, const char *path, bool root, const struct stat *want)
{
	struct open_how how = { .flags = O_PATH | O_CLOEXEC,
		                .resolve = root ? RESOLVE_IN_ROOT : 0 };
	auto_close int fd = (int)syscall(SYS_openat2, dir, path, &how, sizeof(how));
	struct stat st;

	return fd >= 0 && fstat(fd, &st) == 0 && st.st_dev == want->st_dev &&
	       st.st_ino == want->st_ino;
}

/* Where the text starts from, as crtool sees it. */
static int base_find(const struct file *f, int file, const struct stat *st, struct unix_name *n)
{
	bool root = n->address.un.sun_path[0] == '/';
	auto_close int dir = openat(f->task->proc, root ? "root" : "cwd", O_PATH | O_CLOEXEC);
	auto_free char *path = NULL, *base = NULL;
	char text[sizeof(n->address.un.sun_path) + 2] = "/", link[64];
	size_t len;
	int r;

	strncat(text, n->address.un.sun_path + root, n->address.len);
	n->msg.root = root;
	if (dir >= 0 && leads_to(dir, text + 1, root, st)) {
		r = link_read(f->task->proc, root ? "root" : "cwd", &base);
		snprintf(n->base, sizeof(n->base), "%s", r < 0 ? "" : base);
		return r;
	}
	/* The task has moved since: what remains of the real path. */
	snprintf(link, sizeof(link), "/proc/self/fd/%d", file);
	r = link_read(AT_FDCWD, link, &path);
	len = r < 0 ? 0 : strlen(path);
	if (len <= strlen(text) || strcmp(path + len - strlen(text), text) != 0)
		return r;
	snprintf(n->base, sizeof(n->base), "%.*s", (int)(len - strlen(text)), path);
	dir = (closep(&dir), open(n->base, O_PATH | O_CLOEXEC));
	if (dir < 0 || !leads_to(dir, text + 1, root, st))
		n->base[0] = '\0';
	return 0;
}

int unix_name_read(const struct file *f, int fd, struct unix_name *ret)
{
	auto_close int file = -1;
	struct stat st;
	int r;

	img__sk_unix__name__init(&ret->msg);
	ret->base[0] = '\0';
	ret->msg.dir = ret->base;
	if (!unix_address_get(fd, false, &ret->address))
		return -ENOENT;
	ret->msg.address.data = (uint8_t *)ret->address.un.sun_path;
	ret->msg.address.len = ret->address.len;
	if (!ret->address.un.sun_path[0])
		return 0;
	file = ioctl(fd, SIOCUNIXFILE);
	if (file < 0 || fstat(file, &st) < 0)
		return -errno;
	r = st.st_nlink ? base_find(f, file, &st, ret) : 0;
	if (!ret->base[0])
		return r;
	ret->msg.mode = st.st_mode & 07777;
	ret->msg.uid = st.st_uid;
	ret->msg.gid = st.st_gid;
	return r;
}
