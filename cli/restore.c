/* crtool restore */
#include <errno.h>
#include <string.h>
#include <sys/wait.h>

#include "cli/options.h"
#include "lib/cleanup.h"
#include "restore/restore.h"

/* What a shell would say of a program that ended so. */
static int exit_status(int status)
{
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
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

static void free_images(struct images **im)
{
	images_free(*im);
}

/* What the dump let go has not come back either. */
static void report(const Img__Manifest *m)
{
	for (size_t i = 0; i < m->n_losses; i++)
		lose("%s", m->losses[i]);
	if (!m->n_losses)
		info("the dump let nothing go");
}

int command_restore(const struct options *o, int *ret_status)
{
	auto_(keys_free) struct image_keys *keys = NULL;
	/* For --report: the directory may be gone when the tree ends. */
	auto_(free_images) struct images *images = NULL;
	auto_free char *pidfile = NULL;
	struct restore_options opt = {
		.dir = o->dir,
		.detach = o->detach,
		.new_pidns = o->new_pidns,
		.shell_job = o->shell_job,
		.explain = o->explain,
		.lazy = o->lazy,
		.timeout_ms = o->timeout_ms,
		.tcp_close = o->tcp_close,
		.fail_at = o->fail_at,
		.path_map = o->path_map,
		.tcp_map = o->tcp_map,
		.inherit_fd = o->inherit_fd,
		.cgroup_root = o->cgroup_root,
	};
	int status = 0;
	int r = file_policy(o->file_policy, &opt.file_policy);

	if (r == 0)
		r = sysv_policy(o->sysv, &opt.sysv);
	if (r == 0)
		r = cgroup_mode_parse(o->manage_cgroups, &opt.cgroup_mode);
	if (r < 0)
		return r;
	r = time_policy(o->time, &opt.time_passes);
	if (r == 0)
		r = monotonic_parse(o->monotonic, &opt.monotonic);
	if (r == 0 && o->pidfile)
		r = options_path(o, o->pidfile, &pidfile);
	if (r == 0)
		r = options_keys(o, &keys);
	if (r == 0 && o->report && !strcmp(o->dir, IMAGES_STREAM))
		r = fail(-EINVAL, "restore: --report needs a directory; a stream is read once");
	if (r == 0 && o->report)
		r = images_read(o->dir, PAGES_LEFT, keys, &images);
	if (r < 0)
		return r;
	opt.keys = keys;
	opt.pidfile = pidfile;
	r = restore_run(&opt, &status);
	if (r == 0 && images)
		report(images->manifest);
	if (r == 0 && !o->detach && !o->explain)
		*ret_status = exit_status(status);
	return r;
}
