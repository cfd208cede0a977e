/*
 * A restore, read aloud. Up to "compile" nothing exists outside of crtool; up
 * to the end of "commit" everything that was forked dies with a failure.
 */
#include "restore/restore.h"
#include "restore/far.h"
#include "restore/memory_heritage.h"
#include "restore/inode.h"
#include "restore/lazy.h"
#include "restore/leftover.h"
#include "restore/memory_sums.h"
#include "restore/numbers.h"
#include "restore/shmem.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/capability.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "images/spend.h"
#include "lib/cleanup.h"
#include "lib/deadline.h"
#include "lib/fd.h"
#include "lib/kernel.h"
#include "lib/log.h"
#include "restore/pidns.h"
#include "restore/sabotage.h"
#include "restore/sysv.h"

/* What others are to share lies in files, as it is. */
static int check_on_demand(const struct restore *r)
{
	for (size_t i = 0; i < r->images->npages; i++)
		if (r->images->own[i])
			return fail(-EINVAL,
			            "checkpoint %s: --on-demand needs page files that are read as "
			            "they are: not compressed, encrypted, verified by a key, or a "
			            "stream; use --lazy",
			            r->opt->dir);
	return 0;
}

/* Files that are written back stay so: then all is verified before that. */
static int verify_now(struct restore *r)
{
	return r->opt->file_policy == FILES_ROLLBACK ? images_verify_late(r->images)
	                                             : images_verify_but(r->images);
}

int read_images(struct restore *r)
{
	int ret = path_map_check(&r->opt->path_map);

	if (ret == 0)
		ret = tcp_map_check(&r->opt->tcp_map);
	if (ret == 0)
		ret = images_read(r->opt->dir, r->opt->trusted ? PAGES_TRUSTED : PAGES_LATER,
		                  r->opt->keys, &r->images);
	keys_wipe(r->opt->keys); /* before anybody is forked */
	if (ret == 0 && r->images->manifest->memory_only)
		ret = fail(-EBADMSG,
		           "checkpoint %s: holds memory only (crtool pre-dump); the rest is in a "
		           "dump whose parent it is (--prev-images-dir)",
		           r->opt->dir);
	if (ret == 0 && r->opt->on_demand)
		ret = check_on_demand(r);
	if (ret == 0 && !r->opt->lazy)
		ret = verify_now(r);
	if (ret == 0)
		ret = images_spend_plan(r->images);
	return ret < 0 ? ret : map_paths(r);
}

int open_files(struct restore *r)
{
	int ret = pool_init(r);

	if (ret == 0)
		ret = late_plan(r);
	return ret < 0 ? ret : restore_kinds_begin(r);
}

static int compile(struct restore *r)
{
	int ret = compile_scripts(r);

	if (r->opt->explain)
		readers_forget(r);
	/* What was read for shared objects, or will be by the tasks, is not read again. */
	if (ret == 0 && !r->opt->lazy)
		ret = images_verify_late(r->images);
	if (ret == 0)
		ret = far_fetch(r);
	return ret < 0 ? ret : sabotage_scripts(r);
}

static int explain_scripts(struct restore *r)
{
	if (!r->opt->explain)
		return 0;
	array_each (t, &r->tasks) {
		array_each (th, &t->threads) {
			printf("%s, thread %d (%s):\n", rtask_name(t), th->tid,
			       th->img ? th->img->comm : "has exited");
			script_print(&th->script, stdout);
		}
	}
	return 0;
}

int restore_tell(struct restore *r, const char *moment)
{
	return r->opt->action ? r->opt->action(r->opt->action_arg, moment, r->root) : 0;
}

static int tell_begin(struct restore *r)
{
	return restore_tell(r, "pre-restore");
}

static const struct stage {
	const char *name;
	bool acts; /* not with --explain */
	int (*run)(struct restore *r);
} stages[] = {
	/* clang-format off */
	{ "read", false, read_images },
	{ "plan", false, plan_tree },
	{ "check", false, check_images },
	{ "begin", true, tell_begin },
	{ "numbers", true, numbers_await },
	{ "netns", false, enter_netns },
	{ "arena", false, place_arena },
	{ "open", false, open_files },
	{ "compile", false, compile },
	{ "explain", false, explain_scripts },
	{ "run", true, run_scripts }, /* from here on there is a tree */
	{ "commit", true, commit },   /* from here on it runs */
	/* clang-format on */
};

/* A typing error in a test must not pass for a success. */
static int check_fail_at(const struct restore_options *opt)
{
	const char *name = opt->fail_at;

	if (sabotage_wanted(opt) || (name && opt->lazy && !strcmp(name, "lazy")))
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(stages); i++)
		if (!name || !strcmp(stages[i].name, name))
			return 0;
	return fail(-EINVAL, "restore: --fail-at: there is no stage '%s'", name);
}

/* Whatever the stage said: that is why. Once it runs, it runs. */
static int explain_interrupt(size_t stage, int ret)
{
	if (!interrupted() || (ret == 0 && stage == ARRAY_SIZE(stages) - 1))
		return ret;
	log_forget();
	return fail(-EINTR, "interrupted by signal %d (%s), nothing was restored", interrupted(),
	            strsignal(interrupted()));
}

static int run_stages(struct restore *r)
{
	for (size_t i = 0; i < ARRAY_SIZE(stages); i++) {
		uint64_t begun;
		int ret;

		if (stages[i].acts && r->opt->explain)
			continue;
		begun = clock_ns();
		ret = stages[i].run(r);
		debug("stage %s: %" PRIu64 " us", stages[i].name, (clock_ns() - begun) / 1000);
		ret = explain_interrupt(i, ret);
		/* The kernel does not like what the image says; the command line has been judged. */
		if (ret == -EINVAL &&
		    (stages[i].run == open_files || stages[i].run == compile || stages[i].acts))
			ret = -EBADMSG;
		if (ret < 0)
			return log_failure() ? ret : fail(ret, "%s", stages[i].name);
		if (r->opt->fail_at && !strcmp(r->opt->fail_at, stages[i].name) &&
		    strcmp(stages[i].name, "commit"))
			return fail(-ECANCELED, "failed at the end of stage %s, as asked",
			            r->opt->fail_at);
	}
	return 0;
}

int pidfile_write(const char *path, pid_t pid)
{
	auto_close int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	char text[16];

	if (fd < 0)
		return fail(-errno,
		            "pidfile %s: the tree runs, but its pid %d could not be written", path,
		            pid);
	snprintf(text, sizeof(text), "%d\n", pid);
	return write_full(fd, text, strlen(text));
}

static void restore_done(struct restore *r)
{
	array_each (t, &r->tasks) {
		array_each (th, &t->threads)
			script_done(&th->script);
		array_done(&t->threads);
		array_each (filler, &t->fillers)
			script_done(filler);
		array_done(&t->fillers);
	}
	array_done(&r->tasks);
	for (size_t i = 0; i < r->nhelpers; i++) {
		array_each (th, &r->helpers[i].threads)
			script_done(&th->script);
		array_done(&r->helpers[i].threads);
	}
	free(r->by_pid);
	free(r->strangers);
	free(r->helpers);
	heritage_done(r);
	lazy_done(r);
	far_done(r);
	readers_done(r);
	sysv_release(r, r->committed);
	inode_done(r);
	shmem_done(r);
	late_done(r);
	pool_done(r);
	restore_aspects_done(r);
	restore_kinds_done(r); /* what is locked out is so until the descriptors are gone */
	arena_done(&r->arena);
	leftover_done(r);
	images_free(r->images);
}

void close_callers(const struct restore_options *opt)
{
	for (size_t i = 0; i < ARRAY_SIZE(opt->callers); i++)
		if (opt->callers[i])
			close(opt->callers[i]);
}

static int restore_here(const struct restore_options *opt, int *ret_status)
{
	struct restore r = { .opt = opt };
	uint64_t begun = clock_ns();
	int ret = check_fail_at(opt);
	pid_t root;

	interrupts_catch();
	if (ret == 0)
		ret = run_stages(&r);
	interrupts_let();
	r.committed = ret == 0;
	if (ret < 0)
		restore_rollback(&r);
	else if (opt->pidfile && !opt->explain)
		ret = pidfile_write(opt->pidfile, r.root);
	if (r.committed && !opt->explain && restore_tell(&r, "post-resume") < 0)
		warn("%s", log_failure());
	log_fact("total_us", (clock_ns() - begun) / 1000);
	root = r.root;
	if (opt->ret_root)
		*opt->ret_root = root;
	restore_done(&r);
	*ret_status = 0;
	if (ret < 0 || opt->detach || opt->explain)
		return ret;
	while (waitpid(root, ret_status, 0) < 0)
		if (errno != EINTR)
			return fail(-errno, "wait for task %d", root);
	return 0;
}

/* To fork with a certain pid takes a privilege, which everybody has in a user namespace of his own. */
static bool may_choose_pids(void)
{
	/* Ours, which is taken: with the rights it is that what is wrong. They must be those of the pid namespace. */
	const pid_t tid = (pid_t)syscall(SYS_gettid);
	struct clone_args args = { .exit_signal = SIGCHLD,
		                   .set_tid = (uint64_t)&tid,
		                   .set_tid_size = 1 };

	return syscall(SYS_clone3, &args, sizeof(args)) < 0 && errno != EPERM;
}

int restore_run(const struct restore_options *opt, int *ret_status)
{
	struct restore_options own = *opt;
	int ret;

	if (opt->explain)
		return restore_here(&own, ret_status);
	if (!may_choose_pids()) {
		own.new_pidns = true;
		own.new_userns = !own_capability(CAP_SYS_ADMIN);
	}
	if (!own.new_pidns)
		return restore_here(&own, ret_status);
	ret = pidns_run(&own, ret_status, restore_here);
	if (ret == 0 && !own.new_userns && !opt->new_pidns)
		lose("restored in a pid namespace of its own: to choose pids in this one takes "
		     "CAP_CHECKPOINT_RESTORE in the user namespace that it belongs to");
	return ret;
}
