/*
 * A program has read and mapped parts of its files: with other content it would go
 * on with what does not fit together, so by default nothing may have changed;
 * --file-policy allows more. Inode numbers mean something only on the machine and
 * boot of the dump. Of a binary its build id tells, whatever else has changed:
 * the same package may have been installed again, or on another machine.
 *
 * A file is rolled back before anything is forked. If the restore fails later,
 * it stays so: as it was when the program saw it last.
 */
#include "restore/file_policy.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>

#include "lib/cleanup.h"
#include "lib/elf.h"
#include "lib/log.h"
#include "restore/inode_kept.h"
#include "restore/sk_unix.h"

static bool may_append(const Img__File *file)
{
	return (file->flags & O_APPEND) && (file->flags & O_ACCMODE) != O_RDONLY;
}

/* What has changed, after all that is no reason to refuse it: the end of the message names the policies. */
static int refuse(const Img__Regular *msg, bool append, const char *what)
{
	return fail(-ENOTSUP, "file %s: %s; put it back, or --file-policy=%s%sany accepts that",
	            msg->path, what, append ? "append or " : "",
	            msg->content ? "rollback or " : "");
}

static int refuse_size(const Img__File *file, const Img__Regular *msg, uint64_t size)
{
	char what[80];

	if (size > msg->size)
		snprintf(what, sizeof(what), "grew by %" PRIu64 " bytes since the dump",
		         size - msg->size);
	else
		snprintf(what, sizeof(what), "shrank by %" PRIu64 " bytes since the dump",
		         msg->size - size);
	return refuse(msg, size > msg->size && may_append(file), what);
}

static uint64_t mtime_of(const struct stat *st)
{
	return (uint64_t)st->st_mtim.tv_sec * 1000000000 + (uint64_t)st->st_mtim.tv_nsec;
}

static bool same_build(const Img__Regular *msg)
{
	auto_close int fd = open(msg->path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	uint8_t now[ELF_BUILD_ID_MAX];
	size_t n = fd < 0 ? 0 : elf_build_id(fd, now, sizeof(now));

	return n == msg->build_id.len && !memcmp(now, msg->build_id.data, n);
}

/*
 * Of another inode (or of one that was used again), or on another machine. 1: it is
 * the same build; 0: nothing is known.
 */
static int compare_build(const Img__Regular *msg, const struct stat *st)
{
	if (!msg->build_id.len || !S_ISREG(st->st_mode))
		return 0;
	if (!same_build(msg))
		return refuse(msg, false, "is another build since the dump (build id)");
	return (uint64_t)st->st_size == msg->size;
}

static bool rolls_back(const struct restore *r, const Img__Regular *msg)
{
	return r->opt->file_policy == FILES_ROLLBACK && msg->content;
}

/* --explain changes nothing. */
static int roll_back(struct restore *r, const Img__Regular *msg)
{
	return r->opt->explain ? 0 : inode_roll_back(r, msg->content, msg->path);
}

static int compare_content(struct restore *r, const Img__File *file, const Img__Regular *msg,
                           const struct stat *st)
{
	uint64_t size = (uint64_t)st->st_size;

	if (size == msg->size && mtime_of(st) == msg->mtime)
		return 0;
	if (rolls_back(r, msg))
		return roll_back(r, msg);
	if (size > msg->size && r->opt->file_policy == FILES_APPEND && may_append(file))
		return 0;
	if (size != msg->size)
		return refuse_size(file, msg, size);
	return refuse(msg, false, "was written to since the dump, its size is the same");
}

int file_compare(struct restore *r, const Img__File *file, const Img__Regular *msg,
                 const struct stat *st)
{
	bool boot = pool_same_boot(r) && msg->ino,
	     same = (st->st_dev == msg->dev && st->st_ino == msg->ino) ||
	            inode_is_back(r, msg->path);
	int e;

	if ((st->st_mode & S_IFMT) != (msg->mode & S_IFMT))
		return fail(-ENOTSUP, "file %s: is another type of file since the dump", msg->path);
	if (r->opt->file_policy == FILES_ANY || msg->kernel ||
	    (S_ISSOCK(msg->mode) && unix_makes_file(r, msg->path)))
		return 0;
	e = boot && same && mtime_of(st) == msg->mtime ? 0 : compare_build(msg, st);
	if (e)
		return e < 0 ? e : 0;
	if (boot && !same)
		return fail(-ENOTSUP,
		            "file %s: was replaced by another since the dump; put it back, or "
		            "--file-policy=any accepts that",
		            msg->path);
	return S_ISREG(msg->mode) ? compare_content(r, file, msg, st) : 0;
}
