/*
 * What is open with O_PATH and has no name, dump half: a pipe or a socket, which
 * was opened so by way of /proc. It says nothing but whose inode it is; whoever
 * opens it again has that pipe. Where nobody has any end open the pipe is empty.
 *
 * Anonymous inodes, of which nothing can be opened again, are no room's.
 */
#include <errno.h>
#include <fcntl.h>

#include "dump/dump.h"
#include "dump/pipe_peer.h"
#include "lib/log.h"
#include "proto/opath.pb-c.h"

static bool opath_owns(const struct file *f)
{
	return f->flags & O_PATH && (S_ISFIFO(f->st.st_mode) || S_ISSOCK(f->st.st_mode)) &&
	       f->link[0] != '/';
}

static bool is_carried(const struct file *f)
{
	return f->policy == FD_CARRY || f->policy == FD_EXTERNAL;
}

/* The id of another file of the tree on the inode of F; 0: there is none. */
static uint32_t find_other(const struct dump *d, const struct file *f)
{
	array_each (other, &d->files)
		if (!(other->flags & O_PATH) && other->st.st_ino == f->st.st_ino &&
		    other->st.st_dev == f->st.st_dev && is_carried(other))
			return other->id;
	return 0;
}

static int opath_check(struct dump *d, const struct file *f)
{
	char who[160];

	if (find_other(d, f) || !file_peers(d, f, who, sizeof(who)))
		return 0;
	return fail(-ENOTSUP,
	            "%s (%s): is open otherwise outside of the tree alone, in %s: not supported; "
	            "--on-unknown-fd=null or =close lets it go",
	            file_name(f), file_describe(f), who);
}

static int opath_dump(struct dump *d, const struct file *f)
{
	Img__Opath msg = IMG__OPATH__INIT;

	msg.of = find_other(d, f);
	msg.mode = f->st.st_mode;
	msg.uid = f->st.st_uid;
	msg.gid = f->st.st_gid;
	return image_put(d->out, KIND_opath, f->id, &msg.base);
}

const struct dump_kind dump_opath = {
	.owns = opath_owns,
	.check = opath_check,
	.dump = opath_dump,
};
