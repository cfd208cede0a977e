/* The network namespace that the tree has lived in: crtool goes there, and all that it forks is there. */
#include <errno.h>

#include "lib/log.h"
#include "lib/netns.h"
#include "proto/netns.pb-c.h"
#include "restore/restore.h"

int enter_netns(struct restore *r)
{
	const Img__Netns *msg = (const Img__Netns *)images_one(r->images, KIND_netns, 0);
	int e;

	if (!msg)
		return 0;
	if (*msg->path != '/')
		return fail(-EBADMSG, "the network namespace has no path");
	e = netns_enter(msg->path);
	if (e == -ENOENT || e == -EINVAL)
		return fail(-ENOENT,
		            "the network namespace %s, which the program lived in, is not there: "
		            "ip netns add, or --path-map",
		            msg->path);
	return e < 0 ? fail(e, "enter the network namespace %s", msg->path) : 0;
}
