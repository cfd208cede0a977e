/* crtool dump, crtool pre-dump */
#include <errno.h>
#include <string.h>

#include "cli/options.h"
#include "dump/dump.h"
#include "lib/cleanup.h"

static int save(const struct options *o, bool memory_only)
{
	struct dump_options opt = {
		.tree = o->tree,
		.dir = o->dir,
		.stream = !strcmp(o->dir, IMAGES_STREAM),
		.leave_running = o->leave_running || memory_only,
		.leave_stopped = o->leave_stopped,
		.shell_job = o->shell_job,
		.sync = !o->no_sync,
		.timeout_ms = o->timeout_ms,
		.snapshot = o->snapshot,
		.tcp = o->tcp_established ? TCP_CARRIED
		       : o->tcp_close     ? TCP_LET_GO
		                          : TCP_REFUSED,
		.fail_at = o->fail_at,
		.prev = o->prev,
		.track = o->track_mem || memory_only,
		.memory_only = memory_only,
		.wipe_dontdump = o->wipe_dontdump,
		.file_contents = o->file_contents,
		.lose_landlock = o->lose_landlock,
		.on_unknown_fd = o->on_unknown_fd,
		.external = o->external,
		.ext_unix = o->ext_unix,
	};
	auto_(keys_free) struct image_keys *keys = NULL;
	int r;

	if (o->tcp_established && o->tcp_close)
		return fail(-EINVAL, "dump: --tcp-established and --tcp-close exclude each other");
	if (!o->tree)
		return fail(-EINVAL, "%s: no process given; use -t PID",
		            memory_only ? "pre-dump" : "dump");
	if (o->leave_running && o->leave_stopped)
		return fail(-EINVAL,
		            "dump: --leave-running and --leave-stopped exclude each other");
	if (o->snapshot && !o->leave_running)
		return fail(
			-EINVAL,
			"dump: --snapshot is for a tree that runs on; give --leave-running, too");
	if (opt.stream && o->json)
		return fail(-EINVAL, "dump: --json and the stream of -D - both go to stdout");
	if (opt.stream && (o->prev || o->track_mem || memory_only))
		return fail(-EINVAL, "%s: increments are directories; -D - is a stream",
		            memory_only ? "pre-dump" : "dump");
	if (o->track_mem && !o->leave_running && !o->leave_stopped)
		return fail(-EINVAL, "dump: --track-mem is for a tree that lives on; give "
		                     "--leave-running or --leave-stopped, too");
	r = sysv_policy(o->sysv, &opt.sysv);
	if (r == 0)
		r = cgroup_mode_parse(o->manage_cgroups, &opt.cgroup_mode);
	if (r == 0)
		r = ext_pipe_parse(o->ext_pipe, &opt.ext_pipe);
	if (r == 0)
		r = netlink_queue_parse(o->netlink_queue, &opt.drain_netlink);
	if (r == 0 && compression_parse(o->compress, &opt.compression) < 0)
		r = fail(-EINVAL, "dump: --compress %s: is none of lz4, zstd, zstd:1 to zstd:19",
		         o->compress);
	if (r == 0)
		r = keys_read(&(struct key_names){ .sign = o->sign, .encrypt = o->encrypt }, &keys);
	opt.keys = keys;
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
