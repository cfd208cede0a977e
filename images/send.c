/*
 * A directory as a stream: its files as they are, the manifest last. What can be
 * judged is, before the first byte is written.
 */
#define _GNU_SOURCE
#include "images/receive.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "images/format.h"
#include "images/stream.h"
#include "lib/cleanup.h"
#include "lib/fd.h"
#include "lib/log.h"

int dir_is_encrypted(int dirfd)
{
	auto_close int fd = openat(dirfd, MANIFEST_FILE, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	char magic[8] = "";

	if (fd < 0)
		return -errno;
	return read_full(fd, magic, sizeof(magic)) == 0 && !memcmp(magic, CRYPT_MAGIC, 8);
}

/* -ENOENT: there is none. */
static int send_file(struct stream_out *s, int dirfd, const char *name, char *buf)
{
	auto_close int fd = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : 1;
	int r = fd < 0 ? -errno : 0;

	if (r == -ENOENT)
		return r;
	while (r == 0 && n > 0) {
		n = read(fd, buf, FRAME_MAX);
		if (n > 0)
			r = stream_put(s, frame_file(name), buf, (uint64_t)n);
		else if (n < 0)
			r = -errno;
	}
	return r < 0 && n < 0 ? fail(r, "%s: read", name) : r;
}

static int send_all(struct stream_out *s, int dirfd)
{
	auto_free char *buf = malloc(FRAME_MAX);
	char name[FILE_NAME_MAX];
	int r = buf ? send_file(s, dirfd, STATE_FILE, buf) : -ENOMEM;

	for (unsigned i = 0; r == 0 && i < PAGES_FILES_MAX; i++) {
		snprintf(name, sizeof(name), PAGES_FILE, i);
		r = send_file(s, dirfd, name, buf);
	}
	if (r == 0 || r == -ENOENT)
		r = send_file(s, dirfd, SIGNATURE_FILE, buf);
	if (r == 0 || r == -ENOENT)
		r = send_file(s, dirfd, MANIFEST_FILE, buf);
	return r < 0 ? r : stream_end(s, true);
}

int stream_pack(const char *dir, int fd, unsigned stall_ms, const struct image_keys *keys)
{
	auto_close int dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct stream_out *s;
	struct images *im;
	int r = dirfd < 0 ? images_explain_open(-errno, dir) : 0;

	/* With a key it is read in any case: somebody wants to know. */
	if (r == 0 && (keys || dir_is_encrypted(dirfd) != 1)) {
		r = images_read(dir, PAGES_VERIFIED, keys, &im);
		if (r == 0)
			images_free(im);
	}
	if (r == 0)
		r = stream_out_new(fd, stall_ms, &s);
	if (r < 0)
		return r;
	r = send_all(s, dirfd);
	stream_out_free(s);
	return r;
}
