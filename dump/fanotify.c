/*
 * fanotify, dump half. fdinfo shows the group and its marks: on inodes by handle,
 * on mounts and file systems by number, for which paths are found.
 *
 * Events that wait to be read cannot be looked at without taking them away: an overflow
 * event will stand for them, after which programs look for themselves; a queue without an end never
 * has one, and of such groups the events are told to be lost.
 *
 * Refused: marks that ask for permission, as crtool might wait for the very
 * program that it has stopped; and groups of programs without CAP_SYS_ADMIN, for a
 * restore would make them more powerful.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/fanotify.h>
#include <sys/ioctl.h>

#include "dump/dump.h"
#include "dump/fhandle.h"
#include "lib/cleanup.h"
#include "lib/fd.h"
#include "lib/log.h"
#include "proto/fanotify.pb-c.h"

#define UNPRIVILEGED 0x80000000u /* FANOTIFY_UNPRIV, kernel internal */
#define PRE_ACCESS   0x00100000u /* FAN_PRE_ACCESS, 6.14 */
#define REPORT_MNT   0x00004000u /* FAN_REPORT_MNT, 6.14 */
#define PERMISSION   (FAN_OPEN_PERM | FAN_ACCESS_PERM | FAN_OPEN_EXEC_PERM | PRE_ACCESS)

struct marks {
	ARRAY(Img__Fanotify__Mark) all;
	struct fhandle_mount mount;
};

static void marks_done(struct marks *m)
{
	array_each (mark, &m->all)
		if (mark->path != protobuf_c_empty_string)
			free(mark->path);
	array_done(&m->all);
	fhandle_done(&m->mount);
}

static bool fanotify_owns(const struct file *f)
{
	return !strcmp(f->link, "anon_inode:[fanotify]");
}

/* The path of the mount with that number in crtool's own namespace. */
static int mount_path(unsigned id, char **ret)
{
	auto_free char *text = NULL;
	ssize_t len = file_read(AT_FDCWD, "/proc/self/mountinfo", &text);
	char *line, *save = NULL;

	if (len < 0)
		return (int)len;
	for (line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char path[4096];
		unsigned other;

		if (sscanf(line, "%u %*d %*s %*s %4095s", &other, path) != 2 || other != id ||
		    access(path, F_OK) < 0)
			continue;
		*ret = strdup(path);
		return *ret ? 0 : -ENOMEM;
	}
	return -ENOENT;
}

/* "ino:35d sdev:fe00000 mflags:0 mask:2 ...", "mnt_id:16 mflags: ...", "sdev:16 mflags: ..." */
static int mark_parse(struct marks *m, const char *line, Img__Fanotify__Mark *ret)
{
	const char *rest = strstr(line, " mflags:");
	struct fhandle handle;
	unsigned number;
	int r;

	if (!rest || sscanf(rest, " mflags:%" SCNx32 " mask:%" SCNx64 " ignored_mask:%" SCNx64,
	                    &ret->flags, &ret->mask, &ret->ignored) != 3)
		return -EPROTO;
	if (sscanf(line, "fanotify mnt_id:%x", &number) == 1) {
		ret->type = IMG__FANOTIFY__MARK__TYPE__MOUNT;
		return mount_path(number, &ret->path);
	}
	if (sscanf(line, "fanotify sdev:%x", &number) == 1) {
		ret->type = IMG__FANOTIFY__MARK__TYPE__FILESYSTEM;
		return fhandle_mount_path(number, &ret->path);
	}
	r = strncmp(line, "fanotify ino:", 13) ? -EPROTO : fhandle_parse(line, &handle);
	return r < 0 ? r : fhandle_path(&m->mount, &handle, &ret->path);
}

/* The path leads to a symbolic link itself: that is what is marked, not where it leads. */
static void mark_link(Img__Fanotify__Mark *m)
{
	struct stat st;

	if (m->type == IMG__FANOTIFY__MARK__TYPE__INODE && lstat(m->path, &st) == 0 &&
	    S_ISLNK(st.st_mode))
		m->flags |= FAN_MARK_DONT_FOLLOW;
}

static int mark_add(const struct file *f, struct marks *m, const char *text)
{
	Img__Fanotify__Mark *mark = array_add(&m->all);
	char line[512];
	int r;

	if (!mark)
		return -ENOMEM;
	img__fanotify__mark__init(mark);
	r = line_cut(text, line, sizeof(line)) ? mark_parse(m, line, mark) : -E2BIG;
	if (r == -ENOENT || r == -EPROTO)
		return fail(-ENOTSUP,
		            "%s: '%s': no path to what is marked was found: not "
		            "supported by this version",
		            file_name(f), line);
	if (r < 0)
		return fail(r, "%s: '%.100s'", file_name(f), text);
	mark_link(mark);
	if (mark->mask & PERMISSION)
		return fail(-ENOTSUP,
		            "%s: asks for permission to open files (on %s), crtool would wait for "
		            "the program that it has stopped: not supported",
		            file_name(f), mark->path);
	return 0;
}

static int group_read(const struct file *f, struct marks *m, Img__Fanotify *msg)
{
	const char *line = strstr(f->fdinfo, "fanotify flags:");
	int r = 0;

	if (!line ||
	    sscanf(line, "fanotify flags:%x event-flags:%x", &msg->flags, &msg->event_flags) != 2)
		return fail(-EPROTO, "%s: no flags in fdinfo", file_name(f));
	if (msg->flags & UNPRIVILEGED)
		return fail(-ENOTSUP,
		            "%s: made without CAP_SYS_ADMIN: not supported by this version",
		            file_name(f));
	m->mount.watcher = f;
	while (r == 0 && (line = strstr(line + 1, "\nfanotify ")))
		r = mark_add(f, m, line + 1);
	return r;
}

/* Do events wait to be read? */
static int look_queue(const struct file *f, Img__Fanotify *msg)
{
	bool endless = msg->flags & (FAN_UNLIMITED_QUEUE | REPORT_MNT);
	auto_close int fd = file_steal(f);
	int waiting = 0;

	if (fd < 0 || ioctl(fd, FIONREAD, &waiting) < 0)
		return fail(fd < 0 ? fd : -errno, "%s: ask whether events wait", file_name(f));
	msg->overflow = waiting && !endless;
	if (waiting && endless)
		lose("%s: events that wait to be read, of a group that has no overflow event "
		     "(FAN_UNLIMITED_QUEUE, FAN_REPORT_MNT)",
		     file_name(f));
	else if (waiting)
		lose("%s: events that wait to be read; after a restore an overflow event "
		     "(FAN_Q_OVERFLOW) stands for them",
		     file_name(f));
	return 0;
}

static int fanotify_check(struct dump *d, const struct file *f)
{
	auto_(marks_done) struct marks m = { .mount.dump = d };
	Img__Fanotify msg = IMG__FANOTIFY__INIT;

	return group_read(f, &m, &msg);
}

static int fanotify_dump(struct dump *d, const struct file *f)
{
	auto_(marks_done) struct marks m = { .mount.dump = d };
	auto_free Img__Fanotify__Mark **list = NULL;
	Img__Fanotify msg = IMG__FANOTIFY__INIT;
	int r;

	m.mount.tell = true;
	r = group_read(f, &m, &msg);
	if (r == 0)
		r = look_queue(f, &msg);
	if (r < 0)
		return r;
	list = calloc(m.all.n + 1, sizeof(*list));
	if (!list)
		return -ENOMEM;
	for (size_t i = 0; i < m.all.n; i++)
		list[i] = &m.all.v[i];
	msg.n_mark = m.all.n;
	msg.mark = list;
	return image_put(d->out, KIND_fanotify, f->id, &msg.base);
}

const struct dump_kind dump_fanotify = {
	.owns = fanotify_owns,
	.check = fanotify_check,
	.dump = fanotify_dump,
};
