/* crtool dedup: what an increment has no use for takes no room in its parents */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "cli/options.h"
#include "images/images.h"
#include "images/thin.h"
#include "lib/cleanup.h"
#include "lib/deadline.h"
#include "lib/log.h"

int command_dedup(const struct options *o, int *ret_status)
{
	auto_(keys_free) struct image_keys *keys = NULL;
	bool once = o->sign && !strncmp(o->sign, "fd:", 3);
	struct thinned done;
	int r;

	if (!strcmp(o->dir, IMAGES_STREAM))
		return fail(-EINVAL, "dedup: -D is a directory; a stream has no parents");
	if (once && !o->verify)
		return fail(-EINVAL, "dedup: --sign %s can be read once only; give --verify, too",
		            o->sign);
	/* What is signed anew must have been signed before. */
	r = keys_read(
		&(struct key_names){ .sign = o->sign, .verify = o->verify ? o->verify : o->sign },
		&keys);
	interrupts_catch();
	/* Nobody knows where the parents are before their images have been looked at. */
	if (r == 0)
		r = confine_images("/");
	if (r == 0)
		r = thin(o->dir, keys, !o->no_sync, &done);
	if (r < 0)
		return r;
	log_fact("parents", done.parents);
	log_fact("freed", done.freed);
	if (done.parents)
		info("%s: %" PRIu64 " bytes were freed in its %zu parents", o->dir, done.freed,
		     done.parents);
	else
		info("%s: has no parent", o->dir);
	return 0;
}
