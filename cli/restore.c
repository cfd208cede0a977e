/* crtool restore */
#include <errno.h>
#include <string.h>
#include <sys/wait.h>

#include "cli/action.h"
#include "cli/options.h"
#include "cli/policies.h"
#include "lib/cleanup.h"

/* What a shell would say of a program that ended so. */
static int exit_status(int status)
{
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
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
	struct actions actions = { o->action_script, o->dir };
	struct restore_options opt;
	int status = 0;
	int r = restore_policies(o, &opt);

	if (r == 0 && o->pidfile)
		r = options_path(o, o->pidfile, &pidfile);
	if (r == 0)
		r = options_keys(o, &keys);
	if (r == 0 && o->report && !strcmp(o->dir, IMAGES_STREAM))
		r = fail(-EINVAL, "restore: --report needs a directory; a stream is read once");
	if (r == 0 && o->on_demand && !strcmp(o->dir, IMAGES_STREAM))
		r = fail(-EINVAL, "restore: --on-demand needs a directory; a stream is read once");
	if (r == 0 && o->report)
		r = images_read(o->dir, PAGES_LEFT, keys, &images);
	if (r < 0)
		return r;
	opt.keys = keys;
	opt.action = action_run;
	opt.action_arg = &actions;
	opt.pidfile = pidfile;
	r = restore_run(&opt, &status);
	if (r == 0 && images)
		report(images->manifest);
	if (r == 0 && !o->detach && !o->explain)
		*ret_status = exit_status(status);
	return r;
}
