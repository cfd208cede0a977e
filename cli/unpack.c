/* crtool unpack: a stream becomes a directory */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/options.h"
#include "images/receive.h"
#include "lib/cleanup.h"

int command_unpack(const struct options *o, int *ret_status)
{
	auto_(keys_free) struct image_keys *keys = NULL;
	auto_close int dirfd = -1;
	bool made;
	int r = options_keys(o, &keys);

	if (!strcmp(o->dir, IMAGES_STREAM))
		return fail(-EINVAL, "unpack: -D is the directory that the stream becomes");
	if (r < 0)
		return r;
	made = mkdir(o->dir, 0700) == 0;
	dirfd = open(o->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dirfd < 0)
		return fail(-errno, "image directory %s", o->dir);
	r = confine_images(o->dir);
	if (r == 0)
		r = stream_unpack(STDIN_FILENO, dirfd, keys);
	if (r < 0 && made)
		rmdir(o->dir);
	return r;
}
