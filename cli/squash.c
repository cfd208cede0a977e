/* crtool squash: an increment that needs its parents no more */
#include <errno.h>
#include <string.h>

#include "cli/options.h"
#include "images/images.h"
#include "images/squash.h"
#include "lib/cleanup.h"
#include "lib/deadline.h"
#include "lib/log.h"

int command_squash(const struct options *o, int *ret_status)
{
	auto_(keys_free) struct image_keys *keys = NULL;
	bool once = o->sign && !strncmp(o->sign, "fd:", 3);
	size_t parents;
	int r;

	if (!strcmp(o->dir, IMAGES_STREAM))
		return fail(-EINVAL, "squash: -D is a directory; a stream has no parents");
	if (once && !o->verify)
		return fail(-EINVAL, "squash: --sign %s can be read once only; give --verify, too",
		            o->sign);
	/* What is signed anew must have been signed before. */
	r = keys_read(&(struct key_names){ .sign = o->sign,
	                                   .verify = o->verify ? o->verify : o->sign,
	                                   .decrypt = o->decrypt },
	              &keys);
	interrupts_catch();
	if (r == 0)
		r = confine_images(o->dir);
	if (r == 0)
		r = squash(o->dir, keys, !o->no_sync, &parents);
	if (r < 0)
		return r;
	log_fact("parents", parents);
	if (parents)
		info("%s: has all its pages itself now; it needs none of its %zu parents", o->dir,
		     parents);
	else
		info("%s: has no parent", o->dir);
	return 0;
}
