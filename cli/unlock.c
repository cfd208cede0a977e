/* crtool unlock: a dump that ended its tree has left a lock, and there will be no restore. */
#include <errno.h>
#include <string.h>

#include "cli/options.h"
#include "images/images.h"
#include "lib/cleanup.h"
#include "lib/netlock.h"
#include "lib/netns.h"
#include "proto/netlock.pb-c.h"
#include "proto/netns.pb-c.h"

static void images_done(struct images **im)
{
	images_free(*im);
}

static int unlock_table(const char *table)
{
	int r = strncmp(table, "crtool-", 7) ? -EINVAL : netlock_remove(table);

	if (r == -EINVAL)
		return fail(r, "unlock: --table %s: is no network lock of crtool's", table);
	return r < 0 ? fail(r, "unlock: --table %s (in this network namespace)", table) : 0;
}

int command_unlock(const struct options *o, int *ret_status)
{
	auto_(images_done) struct images *im = NULL;
	const Img__Netlock *lock;
	const Img__Netns *netns;
	auto_(keys_free) struct image_keys *keys = NULL;
	int r = options_keys(o, &keys);

	if (r == 0 && o->table)
		return unlock_table(o->table);
	if (r == 0)
		r = images_read(o->dir, PAGES_LEFT, keys, &im);

	if (r < 0)
		return r;
	lock = (const Img__Netlock *)images_one(im, KIND_netlock, 0);
	if (!lock)
		return fail(-ENOENT, "%s: this checkpoint has no network lock", o->dir);
	netns = (const Img__Netns *)images_one(im, KIND_netns, 0);
	r = netns ? netns_enter(netns->path) : 0;
	if (r < 0)
		return fail(r, "%s: enter its network namespace, %s", o->dir, netns->path);
	r = netlock_remove(lock->table);
	if (r == -ENOENT)
		return fail(r, "%s: its network lock, %s, is not there (in this network namespace)",
		            o->dir, lock->table);
	return r < 0 ? fail(r, "%s: remove its network lock, %s", o->dir, lock->table) : 0;
}
