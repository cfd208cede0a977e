/*
 * Regular files, dump half, and whatever is open with O_PATH. Their content stays
 * where it is, as long as the path leads to them; else see inode.c.
 *
 * What the kernel shows as the path is the way from crtool's root, with
 * " (deleted)" behind it when it leads there no more. A file may also have been
 * replaced, or bear that suffix in its name: the path is tried.
 *
 * Files of proc, sysfs, cgroups and their like are made by the kernel as they are read: they come back
 * at the same offset, with what they say then. Those of a process are of another
 * room (procfs.c).
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "dump/build_id.h"
#include "dump/dump.h"
#include "dump/inode.h"
#include "dump/kernfs.h"
#include "lib/cleanup.h"
#include "lib/elf.h"
#include "lib/log.h"
#include "lib/marks.h"
#include "proto/regular.pb-c.h"

static bool is_memfd(const struct file *f)
{
	return f->st.st_nlink == 0 && !strncmp(f->link, "/memfd:", 7);
}

static bool regular_owns(const struct file *f)
{
	if (f->flags & O_PATH)
		return f->link[0] == '/' && !is_memfd(f);
	return S_ISREG(f->st.st_mode) && !is_memfd(f) && !file_is_secret(f);
}

/* The pipe behind a fifo is carried by its room, and would be another one. */
static bool has_pipe(struct dump *d, const struct file *f)
{
	return (S_ISFIFO(f->st.st_mode) || S_ISSOCK(f->st.st_mode)) &&
	       file_by_inode(d, f->st.st_dev, f->st.st_ino);
}

/* A deleted one is made again without. */
static int check_marks(const struct file *f)
{
	const char *why = S_ISREG(f->st.st_mode) && f->st.st_nlink
	                          ? marks_forbid(f->task->proc, f->at, (int)f->flags)
	                          : NULL;

	return why ? fail(-ENOTSUP, "%s: is open for writing, but since then: %s %s", file_name(f),
	                  why, f->link)
	           : 0;
}

/* The tree stands still: what is seen of the name now holds until the record is written. */
static struct holding look_at_name(struct dump *d, const struct file *f)
{
	struct file *seen = file_of(d, f->id);

	seen->leads |= d->frozen && inode_leads_to(f->link, &f->st);
	return file_holding(seen);
}

static int regular_check(struct dump *d, const struct file *f)
{
	struct holding h = look_at_name(d, f);
	struct stat st;
	int r;

	if (f->link[0] != '/')
		return fail(-ENOTSUP, "%s: is not reachable from the root directory", file_name(f));
	if (has_pipe(d, f) && lstat(f->link, &st) < 0)
		return fail(
			-ENOTSUP,
			"%s: is open with O_PATH, deleted, and open otherwise, too: not supported",
			file_name(f));
	r = inode_look(d, &h);
	/* What was open before the freeze was looked at then. */
	return r < 0 || (d->frozen && f->task != d->own) ? r : check_marks(f);
}

/* What is mapped and an ELF file with a build id is known by it. */
static void read_build_id(const struct dump *d, const struct file *f, uint8_t *buf, size_t size,
                          ProtobufCBinaryData *ret)
{
	size_t n = f->fd >= 0 || !S_ISREG(f->st.st_mode) ? 0 : build_id_read(d, f, buf, size);

	if (n)
		*ret = (ProtobufCBinaryData){ n, buf };
}

static bool wants_content(const struct dump *d, const struct file *f)
{
	return d->opt->file_contents && S_ISREG(f->st.st_mode) &&
	       (f->flags & O_ACCMODE) != O_RDONLY && !(f->flags & O_PATH) && !file_is_kernel(f);
}

static int regular_dump(struct dump *d, const struct file *f)
{
	Img__Regular msg = IMG__REGULAR__INIT;
	struct holding h = file_holding(f);
	struct stat now = f->st;
	auto_free char *path = NULL;
	uint8_t build_id[ELF_BUILD_ID_MAX];
	int r;

	if (d->worked_on && fstatat(f->task->proc, f->at, &now, 0) < 0)
		return fail(-errno, "%s: fstat", file_name(f));
	h.st = &now;
	r = inode_put(d, &h, &path, &msg.inode);
	if (r == 0 && !msg.inode && wants_content(d, f))
		r = inode_keep(d, &h, path, &msg.content);
	if (r < 0)
		return r;
	if (!msg.inode)
		read_build_id(d, f, build_id, sizeof(build_id), &msg.build_id);
	msg.path = path;
	msg.mode = f->st.st_mode;
	msg.size = (uint64_t)now.st_size;
	msg.mtime = (uint64_t)now.st_mtim.tv_sec * 1000000000 + (uint64_t)now.st_mtim.tv_nsec;
	msg.dev = f->st.st_dev;
	msg.ino = f->st.st_ino;
	msg.kernel = file_is_kernel(f);
	return image_put(d->out, KIND_regular, f->id, &msg.base);
}

const struct dump_kind dump_regular = {
	.owns = regular_owns,
	.check = regular_check,
	.dump = regular_dump,
};
