/* crtool show */
#include "cli/options.h"
#include "images/show.h"

int command_show(const struct options *o, int *ret_status)
{
	return images_show(o->dir, o->json, stdout);
}
