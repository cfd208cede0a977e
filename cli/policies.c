/* What the options say, for several commands. */
#include "cli/policies.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "lib/array.h"
#include "restore/foresee.h"

int dump_policies(const struct options *o, const char *command, struct dump_options *ret)
{
	int r;

	*ret = (struct dump_options){
		.tree = o->tree,
		.dir = o->dir,
		.stream = !strcmp(o->dir, IMAGES_STREAM),
		.stream_fd = STDOUT_FILENO,
		.leave_running = o->leave_running,
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
		.track = o->track_mem,
		.dedup = o->dedup,
		.wipe_dontdump = o->wipe_dontdump,
		.file_contents = o->file_contents,
		.ghost_limit = o->ghost_limit,
		.lose_landlock = o->lose_landlock,
		.foresee = restore_foresee,
		.on_unknown_fd = o->on_unknown_fd,
		.external = o->external,
		.ext_unix = o->ext_unix,
	};
	if (o->tcp_established && o->tcp_close)
		return fail(-EINVAL, "dump: --tcp-established and --tcp-close exclude each other");
	if (!o->tree)
		return fail(-EINVAL, "%s: no process given; use -t PID", command);
	r = sysv_policy(o->sysv, &ret->sysv);
	if (r == 0)
		r = cgroup_mode_parse(o->manage_cgroups, &ret->cgroup_mode);
	if (r == 0)
		r = ext_pipe_parse(o->ext_pipe, &ret->ext_pipe);
	if (r == 0)
		r = netlink_queue_parse(o->netlink_queue, &ret->drain_netlink);
	if (r == 0 && compression_parse(o->compress, &ret->compression) < 0)
		r = fail(-EINVAL, "dump: --compress %s: is none of lz4, zstd, zstd:1 to zstd:19",
		         o->compress);
	return r;
}

static int file_policy(const char *name, enum file_policy *ret)
{
	static const char *const names[] = {
		[FILES_EXACT] = "exact",
		[FILES_APPEND] = "append",
		[FILES_ANY] = "any",
		[FILES_ROLLBACK] = "rollback",
	};

	for (size_t i = 0; name && i < ARRAY_SIZE(names); i++) {
		if (!strcmp(name, names[i])) {
			*ret = (enum file_policy)i;
			return 0;
		}
	}
	if (name)
		return fail(-EINVAL, "--file-policy %s: is none of exact, append, any, rollback",
		            name);
	return 0;
}

static int time_policy(const char *name, bool *ret_passes)
{
	*ret_passes = name && !strcmp(name, "passes");
	if (name && !*ret_passes && strcmp(name, "stands-still") != 0)
		return fail(-EINVAL, "--time %s: is none of stands-still, passes", name);
	return 0;
}

int restore_policies(const struct options *o, struct restore_options *ret)
{
	int r;

	*ret = (struct restore_options){
		.dir = o->dir,
		.detach = o->detach,
		.new_pidns = o->new_pidns,
		.shell_job = o->shell_job,
		.explain = o->explain,
		.lazy = o->lazy || o->on_demand,
		.on_demand = o->on_demand,
		.timeout_ms = o->timeout_ms,
		.tcp_close = o->tcp_close,
		.fail_at = o->fail_at,
		.path_map = o->path_map,
		.tcp_map = o->tcp_map,
		.inherit_fd = o->inherit_fd,
		.cgroup_root = o->cgroup_root,
	};
	r = file_policy(o->file_policy, &ret->file_policy);
	if (r == 0)
		r = sysv_policy(o->sysv, &ret->sysv);
	if (r == 0)
		r = cgroup_mode_parse(o->manage_cgroups, &ret->cgroup_mode);
	if (r == 0)
		r = time_policy(o->time, &ret->time_passes);
	if (r == 0)
		r = monotonic_parse(o->monotonic, &ret->monotonic);
	return r;
}
