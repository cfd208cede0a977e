/*
 * Files that are not carried (dump --external), restore half, and --inherit-fd
 * fd[N]:KEY: crtool's own descriptor N, which its caller gave it, takes the place of
 * every file of that key, whether the dump has carried it or not. All descriptions of it
 * become this one. A key may also be the path of the file.
 *
 * All that crtool itself opens is close-on-exec; what its caller gave cannot be.
 */
#include "restore/external.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "images/reflect.h"
#include "lib/cleanup.h"
#include "lib/log.h"
#include "proto/external.pb-c.h"

#define STDIO_FDS 3

/* "fd[N]:KEY" */
static int word_parse(const char *word, int *ret_fd, const char **ret_key)
{
	int len = 0;

	if (sscanf(word, "fd[%d]:%n", ret_fd, &len) != 1 || !len || !word[len] || *ret_fd < 0)
		return fail(-EINVAL, "--inherit-fd %s: give fd[N]:KEY", word);
	*ret_key = word + len;
	return 0;
}

/* As dump writes it: without a colon before the bracket. */
static bool key_is(const char *word, const char *key)
{
	size_t len = strcspn(word, ":[");

	if (!*key || strncmp(word, key, len) != 0 || key[len] != '[')
		return false;
	return !strcmp(word + len + (word[len] == ':'), key + len);
}

/* The field "path" of the record of its kind. */
static const char *path_of(const ProtobufCMessage *msg)
{
	const ProtobufCFieldDescriptor *f =
		protobuf_c_message_descriptor_get_field_by_name(msg->descriptor, "path");
	const void *first;

	if (!f || f->type != PROTOBUF_C_TYPE_STRING || f->label == PROTOBUF_C_LABEL_REPEATED ||
	    !field_values(msg, f, &first))
		return "";
	return *(const char *const *)first;
}

/* Paths are relative to the root: with or without the first slash. */
static bool path_is(const char *word, const char *path)
{
	return *path == '/' && !strcmp(word + (*word == '/'), path + 1);
}

static bool fits(const char *key, const Img__File *file, const ProtobufCMessage *msg)
{
	return key_is(key, file->key) || path_is(key, path_of(msg));
}

static bool anybody_fits(const struct restore *r, const char *key)
{
	size_t n;
	const struct record *rec = images_kind(r->images, KIND_file, &n);

	for (size_t i = 0; i < n; i++) {
		const Img__File *file = (const Img__File *)rec[i].msg;

		if (fits(key, file, images_one(r->images, (enum record_kind)file->kind, file->id)))
			return true;
	}
	return false;
}

int inherit_check(struct restore *r)
{
	array_each (word, &r->opt->inherit_fd) {
		const char *key;
		int fd, e = word_parse(*word, &fd, &key), flags;

		if (e < 0)
			return e;
		flags = fcntl(fd, F_GETFD);
		if (flags < 0 || flags & FD_CLOEXEC)
			return fail(-EINVAL,
			            "--inherit-fd %s: crtool was started without a descriptor %d",
			            *word, fd);
		if (!anybody_fits(r, key))
			return fail(-EINVAL, "--inherit-fd %s: the checkpoint has no such file",
			            *word);
	}
	return 0;
}

/* May descriptor FD do what FILE could? */
static int check_mode(const char *word, int fd, const Img__File *file)
{
	int have = fcntl(fd, F_GETFL), want = (int)(file->flags & O_ACCMODE);

	if (have < 0)
		return fail(-errno, "--inherit-fd %s", word);
	if (file->flags & O_PATH || have & O_PATH || (have & O_ACCMODE) == O_RDWR ||
	    (have & O_ACCMODE) == want)
		return 0;
	return fail(-ENOTSUP, "--inherit-fd %s: descriptor %d cannot be %s", word, fd,
	            want == O_RDONLY   ? "read from"
	            : want == O_WRONLY ? "written to"
	                               : "read from and written to");
}

int inherit_open(struct restore *r, const Img__File *file, const ProtobufCMessage *msg)
{
	array_each (word, &r->opt->inherit_fd) {
		const char *key;
		int fd, e = word_parse(*word, &fd, &key);

		if (e < 0)
			return e;
		if (!fits(key, file, msg))
			continue;
		e = check_mode(*word, fd, file);
		if (e < 0)
			return e;
		fd = fcntl(fd, F_DUPFD_CLOEXEC, STDIO_FDS);
		return fd < 0 ? fail(-errno, "--inherit-fd %s", *word) : fd;
	}
	return -ENOENT;
}

/* ---- the room ---- */

static int external_check(struct restore *r, const Img__File *file, const ProtobufCMessage *base)
{
	const Img__External *msg = (const Img__External *)base;

	if (!*msg->key || (*msg->path && *msg->path != '/'))
		return fail(-EBADMSG, "file %u: external: no key, or a wrong path", file->id);
	return 0;
}

static int external_open(struct restore *r, const Img__File *file, const ProtobufCMessage *base)
{
	const Img__External *msg = (const Img__External *)base;
	int flags = (int)file->flags & ~(O_CREAT | O_EXCL | O_TRUNC | O_ASYNC | O_TMPFILE);
	auto_close int fd = -1;

	if (!*msg->path)
		return fail(-ENOTSUP,
		            "file %u: %s was not carried (--external); give --inherit-fd fd[N]:%s",
		            file->id, msg->key, msg->key);
	fd = open(msg->path,
	          flags | (int)(file->flags & O_DIRECTORY) | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return fail(-errno, "file %s (%s), which was not carried (--external)", msg->path,
		            msg->key);
	if (!(flags & (O_PATH | O_NONBLOCK)) && fcntl(fd, F_SETFL, flags) < 0)
		return fail(-errno, "file %s: set its flags", msg->path);
	if (file->pos && !(flags & O_PATH) && lseek(fd, (off_t)file->pos, SEEK_SET) < 0 &&
	    errno != ESPIPE)
		return fail(-errno, "file %s: set its position", msg->path);
	return take_fd(&fd);
}

const struct restore_kind restore_external = {
	.check = external_check,
	.open = external_open,
};
