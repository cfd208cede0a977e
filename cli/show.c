/* crtool show */
#include "cli/options.h"
#include "images/show.h"
#include "lib/cleanup.h"

int command_show(const struct options *o, int *ret_status)
{
	auto_(keys_free) struct image_keys *keys = NULL;
	int r = options_keys(o, &keys);

	if (r == 0)
		r = confine_images(NULL);
	return r < 0 ? r : images_show(o->dir, keys, o->json, stdout);
}
