#include "lib/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/cleanup.h"

#define FULL(call)                                     \
	while (size) {                                 \
		ssize_t n_ = (call);                   \
		if (n_ < 0 && errno == EINTR)          \
			continue;                      \
		if (n_ < 0)                            \
			return -errno;                 \
		if (n_ == 0)                           \
			return -ENODATA;               \
		p += n_, size -= (size_t)n_, at += n_; \
	}                                              \
	return 0

int read_full(int fd, void *buf, size_t size)
{
	char *p = buf;
	off_t at = 0;

	FULL(read(fd, p, size));
}

int write_full(int fd, const void *buf, size_t size)
{
	const char *p = buf;
	off_t at = 0;

	FULL(write(fd, p, size));
}

int pread_full(int fd, void *buf, size_t size, off_t at)
{
	char *p = buf;

	FULL(pread(fd, p, size, at));
}

int pwrite_full(int fd, const void *buf, size_t size, off_t at)
{
	const char *p = buf;

	FULL(pwrite(fd, p, size, at));
}

ssize_t read_most(int fd, void *buf, size_t size)
{
	size_t got = 0;

	while (got < size) {
		ssize_t n = read(fd, (char *)buf + got, size - got);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		got += (size_t)n;
	}
	return (ssize_t)got;
}

/* ONCE: what leaves room has come to its end. */
static ssize_t read_all(int dirfd, const char *path, bool once, char **ret_text)
{
	auto_close int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC);
	auto_free char *text = NULL;
	size_t have = 0, cap = 4096;

	if (fd < 0)
		return -errno;
	text = malloc(cap);
	if (!text)
		return -ENOMEM;
	for (;;) {
		ssize_t n = read(fd, text + have, cap - have - 1);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		have += (size_t)n;
		if (once && have < cap - 1)
			break;
		if (cap - have < 2048) {
			char *more = realloc(text, cap * 2);

			if (!more)
				return -ENOMEM;
			text = more;
			cap *= 2;
		}
	}
	text[have] = '\0';
	*ret_text = take_ptr(text);
	return (ssize_t)have;
}

ssize_t file_read(int dirfd, const char *path, char **ret_text)
{
	return read_all(dirfd, path, false, ret_text);
}

ssize_t file_read_record(int dirfd, const char *path, char **ret_text)
{
	return read_all(dirfd, path, true, ret_text);
}

int file_write(int dirfd, const char *path, const char *text)
{
	auto_close int fd = openat(dirfd, path, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	return write_full(fd, text, strlen(text));
}

bool error_passes(int error)
{
	return error == -ENOMEM || error == -EMFILE || error == -ENFILE || error == -ENOBUFS;
}

int link_read(int dirfd, const char *path, char **ret_target)
{
	char target[PATH_MAX + 1];
	ssize_t n = readlinkat(dirfd, path, target, sizeof(target) - 1);

	if (n < 0)
		return -errno;
	if ((size_t)n >= sizeof(target) - 1)
		return -ENAMETOOLONG;
	target[n] = '\0';
	*ret_target = strdup(target);
	return *ret_target ? 0 : -ENOMEM;
}

void fd_make_room(size_t n)
{
	auto_close int high = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, (int)n);

	(void)high;
}

int null_open(void)
{
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	return fd < 0 ? open("/", O_PATH | O_DIRECTORY | O_CLOEXEC) : fd;
}
