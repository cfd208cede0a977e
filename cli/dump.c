/* crtool dump, crtool pre-dump */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "cli/action.h"
#include "cli/options.h"
#include "cli/policies.h"
#include "images/thin.h"
#include "lib/cleanup.h"

/* The checkpoint is whole, and the tree may be gone: that it takes more room than it could is no failure. */
static void thin_parents(const struct options *o, const struct image_keys *keys)
{
	struct thinned done;
	int r = thin(o->dir, keys, !o->no_sync, &done);

	log_fact("freed", done.freed);
	if (r == 0) {
		info("%s: %" PRIu64 " bytes were freed in its %zu parents", o->dir, done.freed,
		     done.parents);
		return;
	}
	warn("%s; the checkpoint is whole, its parents still have what it has no use for: crtool "
	     "dedup -D %s",
	     log_failure() ? log_failure() : strerror(-r), o->dir);
	log_forget();
}

static int save(const struct options *o, bool memory_only)
{
	auto_(keys_free) struct image_keys *keys = NULL;
	const char *command = memory_only ? "pre-dump" : "dump";
	struct actions actions = { o->action_script, o->dir };
	struct dump_options opt;
	int r;

	if (o->leave_running && o->leave_stopped)
		return fail(-EINVAL,
		            "dump: --leave-running and --leave-stopped exclude each other");
	if (o->snapshot && !o->leave_running)
		return fail(
			-EINVAL,
			"dump: --snapshot is for a tree that runs on; give --leave-running, too");
	if (!strcmp(o->dir, IMAGES_STREAM) && o->json)
		return fail(-EINVAL, "dump: --json and the stream of -D - both go to stdout");
	if (!strcmp(o->dir, IMAGES_STREAM) && (o->prev || o->track_mem || memory_only))
		return fail(-EINVAL, "%s: increments are directories; -D - is a stream", command);
	if (o->track_mem && !o->leave_running && !o->leave_stopped)
		return fail(-EINVAL, "dump: --track-mem is for a tree that lives on; give "
		                     "--leave-running or --leave-stopped, too");
	if (o->dedup && o->sign && !strncmp(o->sign, "fd:", 3))
		return fail(-EINVAL,
		            "%s: --sign %s can be read once only, and --dedup verifies by the same "
		            "key; give a file",
		            command, o->sign);
	r = dump_policies(o, command, &opt);
	if (r == 0)
		r = keys_read(&(struct key_names){ .sign = o->sign,
		                                   .verify = o->dedup ? o->sign : NULL,
		                                   .encrypt = o->encrypt },
		              &keys);
	opt.leave_running |= memory_only;
	opt.track |= memory_only;
	opt.memory_only = memory_only;
	opt.keys = keys;
	opt.action = action_run;
	opt.action_arg = &actions;
	if (r == 0)
		r = dump_run(&opt);
	if (r == 0 && o->dedup && o->prev)
		thin_parents(o, keys);
	return r;
}

int command_dump(const struct options *o, int *ret_status)
{
	return save(o, false);
}

int command_pre_dump(const struct options *o, int *ret_status)
{
	return save(o, true);
}
