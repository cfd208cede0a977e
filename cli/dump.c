/* crtool dump, crtool pre-dump */
#include <errno.h>
#include <string.h>

#include "cli/action.h"
#include "cli/options.h"
#include "cli/policies.h"
#include "lib/cleanup.h"

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
	r = dump_policies(o, command, &opt);
	if (r == 0)
		r = keys_read(&(struct key_names){ .sign = o->sign, .encrypt = o->encrypt }, &keys);
	opt.leave_running |= memory_only;
	opt.track |= memory_only;
	opt.memory_only = memory_only;
	opt.keys = keys;
	opt.action = action_run;
	opt.action_arg = &actions;
	return r < 0 ? r : dump_run(&opt);
}

int command_dump(const struct options *o, int *ret_status)
{
	return save(o, false);
}

int command_pre_dump(const struct options *o, int *ret_status)
{
	return save(o, true);
}
