/* crtool pack: a directory as a stream */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "cli/options.h"
#include "images/receive.h"
#include "lib/cleanup.h"

int command_pack(const struct options *o, int *ret_status)
{
	auto_(keys_free) struct image_keys *keys = NULL;
	int r = options_keys(o, &keys);

	if (!strcmp(o->dir, IMAGES_STREAM))
		return fail(-EINVAL, "pack: -D is the directory that becomes a stream");
	if (r == 0)
		r = confine_images(NULL);
	return r < 0 ? r : stream_pack(o->dir, STDOUT_FILENO, o->timeout_ms, keys);
}
