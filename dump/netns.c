/*
 * A tree in a network namespace that ip-netns(8) has given a name: crtool goes there
 * itself, before it looks at any socket, and so does a restore. The namespace
 * with its devices is not carried, it stays where it is.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dump/dump.h"
#include "dump/stages.h"
#include "lib/log.h"
#include "lib/netns.h"
#include "proto/netns.pb-c.h"

int netns_follow(struct dump *d)
{
	const struct task *root = &d->tasks.v[0];
	char path[300];
	int r = netns_find(root->proc, path, sizeof(path));

	/* One without a name is refused as other namespaces are, one that may not be seen as the task is. */
	if (r == 0 || r == -ENOENT || r == -EACCES || r == -EPERM)
		return 0;
	if (r > 0)
		r = netns_enter(path);
	if (r < 0)
		return fail(r, "%s: enter its network namespace", task_name(root));
	free(d->netns);
	d->netns = strdup(path);
	return d->netns ? 0 : -ENOMEM;
}

int netns_put(struct dump *d)
{
	Img__Netns msg = IMG__NETNS__INIT;

	msg.path = d->netns;
	return d->netns ? image_put(d->out, KIND_netns, 0, &msg.base) : 0;
}
