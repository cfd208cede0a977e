/*
 * A dump, read aloud. Until "freeze" the target knows nothing of it; from there
 * on every way out of this file lets it run on, but the one at the end.
 */
#include "dump/alike.h"
#include "dump/alike_tasks.h"
#include "dump/build_id.h"
#include "dump/dump.h"
#include "dump/ended.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dump/guard.h"
#include "dump/inode.h"
#include "dump/kernel_memory.h"
#include "dump/namespaces.h"
#include "dump/outsider.h"
#include "dump/shmem.h"
#include "dump/snapshot.h"
#include "dump/cgroup.h"
#include "dump/stages.h"
#include "dump/sysv.h"
#include "dump/task.h"
#include "dump/together.h"
#include "dump/threads.h"
#include "dump/tracees.h"
#include "dump/track.h"
#include "dump/writers.h"
#include "lib/awake.h"
#include "lib/cleanup.h"
#include "lib/deadline.h"
#include "lib/hands.h"
#include "lib/heap.h"
#include "lib/log.h"

/* A directory that is not there is made, for nobody else to look into; a parent is not. */
static int open_directory(struct dump *d)
{
	int r;

	if (mkdir(d->opt->dir, 0700) == 0)
		d->made_dir = true;
	else if (errno != EEXIST)
		return errno == ENOENT ? fail(-errno,
		                              "image directory %s: what it should be in is not "
		                              "there; make that first",
		                              d->opt->dir)
		                       : fail(-errno, "image directory %s", d->opt->dir);
	d->dirfd = open(d->opt->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (d->dirfd < 0)
		return fail(-errno, "image directory %s", d->opt->dir);
	r = image_writer_new(d->dirfd, 0600, d->opt->keys, &d->out);
	if (r == -EEXIST || r == -ENOTEMPTY)
		return fail(
			r, "%s: holds a checkpoint or other files already; give an empty directory",
			d->opt->dir);
	return r;
}

#define TRIES_MAX 9 /* the last after half a second */

#define WARM (256 * 1024) /* of a small process all that is read and written, but its pages */

/* Memory is made ready here: once the guard is forked, which would have it too, and before it is used. */
static int open_images(struct dump *d)
{
	int r;

	heap_warm(WARM);
	r = d->opt->stream ? image_writer_stream(d->opt->stream_fd, d->opt->timeout_ms,
	                                         d->opt->keys, &d->out)
	                   : open_directory(d);

	if (r == 0 && d->opt->compression.codec)
		r = image_compress(d->out, &d->opt->compression);
	if (r == 0 && d->opt->chain)
		image_keep(d->out);
	return r < 0 ? fail(r, "%s: create the images", d->opt->dir) : 0;
}

/* ---- who wants to be told ---- */

static int tell(struct dump *d, const char *moment)
{
	return d->opt->action ? d->opt->action(d->opt->action_arg, moment, d->opt->tree) : 0;
}

static int tell_begin(struct dump *d)
{
	return d->again ? 0 : tell(d, "pre-dump");
}

static int tell_locked(struct dump *d)
{
	d->told_locked = d->opt->action;
	return tell(d, "network-lock");
}

/* The tree runs on, whatever they say. */
static void tell_unlocked(struct dump *d)
{
	if (d->told_locked && tell(d, "network-unlock") < 0)
		warn("%s", log_failure());
	d->told_locked = false;
}

static int tell_resumed(struct dump *d)
{
	if (d->opt->leave_running)
		tell_unlocked(d);
	return 0;
}

static int tell_sealed(struct dump *d)
{
	return tell(d, "post-dump");
}

/* What is not there any more stays locked until it is restored. */
static int tell_ended(struct dump *d)
{
	d->told_locked &= d->opt->leave_stopped;
	return 0;
}

static int prepare_task(struct dump *d, struct task *t)
{
	for (size_t i = 0; i < dump_naspects; i++) {
		const struct dump_aspect *aspect = dump_aspects[i].aspect;
		int r = aspect->prepare ? aspect->prepare(d, t) : 0;

		if (r < 0)
			return fail(r, "%s: %s", task_name(t), dump_aspects[i].name);
	}
	return 0;
}

static int prepare(struct dump *d)
{
	int r = alike_tasks_prepare(d);

	for (size_t i = 0; r == 0 && i < d->tasks.n; i++)
		if (d->tasks.v[i].state != TASK_ZOMBIE && !d->opt->memory_only)
			r = prepare_task(d, &d->tasks.v[i]);
	if (r == 0)
		r = build_ids_prepare(d);
	if (r == 0)
		r = clocks_prepare(d);
	if (r == 0)
		r = pages_prepare(d);
	if (r == 0)
		r = alike_prepare(d);
	if (r == 0)
		r = namespaces_prepare(d);
	if (r == 0)
		r = ask_prepare(d);
	if (r == 0 && !writers_wanted(d))
		r = pages_first(d);
	if (r == 0)
		r = threads_deal(d);
	return r;
}

static const struct stage {
	const char *name;
	int (*run)(struct dump *d);
} stages[] = {
	/* clang-format off */
	{ "guard", guard_target },     /* undoes what is left if crtool is killed */
	{ "images", open_images },
	{ "parent", track_begin },     /* with --prev-images-dir: what is known of it */
	{ "look", look_tree },         /* refuse what cannot be saved */
	{ "prepare", prepare },        /* what the target need not wait for */
	{ "begin", tell_begin },       /* --action-script */
	{ "hold", dump_kinds_hold },   /* what comes from outside has to wait */
	{ "freeze", freeze_tree },     /* from here on the target stands still */
	{ "lock", tell_locked },
	{ "gather", gather_tasks },    /* what is seen from outside */
	{ "ask", ask_tasks },          /* what only it can see */
	{ "take", take_answers },
	{ "files", dump_files },
	{ "clocks", note_clocks },     /* after all timers: none fires early where clocks go on from here */
	{ "track", track_arm },        /* which pages the parent has, and what will be written to */
	{ "pages", dump_pages },
	{ "writers", writers_end },   /* who wrote memory ends, and the arena with them */
	{ "hands", ask_hands },        /* what tracers see has been seen */
	{ "resume", resume_tree },     /* with -R it runs again from here on */
	{ "unlock", tell_resumed },
	{ "store", store_pages },
	{ "copies", dump_copies },     /* with --snapshot: pages of the copies that it has made */
	{ "records", take_late },      /* of what was asked and seen */
	{ "seal", seal_images },
	{ "sealed", tell_sealed },
	{ "tracker", track_leave },    /* with --track-mem: somebody keeps the tracking up */
	{ "handover", hand_over },     /* somebody else may go on with it */
	{ "end", end_tree },           /* without -R it is gone from here on */
	{ "ended", tell_ended },
	/* clang-format on */
};

/* Is it no matter of a pre-dump? */
static bool is_left_out(const struct dump *d, const struct stage *s)
{
	return d->opt->memory_only &&
	       (s->run == dump_kinds_hold || s->run == take_answers || s->run == dump_files ||
	        s->run == dump_pages || s->run == store_pages || s->run == take_late);
}

/* A typing error in a test must not pass for a success. */
static int check_fail_at(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(stages); i++)
		if (!name || !strcmp(stages[i].name, name))
			return 0;
	return fail(-EINVAL, "dump: --fail-at: there is no stage '%s'", name);
}

/* Whatever the stage said: that is why. Once it is sealed, the dump goes on to its end. */
static int explain_interrupt(const struct dump *d, int r)
{
	if (!interrupted() || d->sealed)
		return r;
	log_forget();
	return fail(-EINTR, "interrupted by signal %d (%s), nothing was saved", interrupted(),
	            strsignal(interrupted()));
}

static void take_death(struct tracee *t)
{
	if (ended_reap(t))
		t->seized = t->stopped = t->running = false;
}

/* While the tree still runs, its processes come and go: only that the root is gone explains anything. */
static const struct task *find_dead(struct dump *d)
{
	size_t n = d->frozen || !d->tasks.n ? d->tasks.n : 1;

	for (struct task *t = d->tasks.v; t < d->tasks.v + n; t++) {
		/* A leader ends when its tracer has taken the news of all other threads. */
		for (size_t i = 1; i < t->threads.n; i++)
			take_death(&t->threads.v[i].tracee);
		if (t->state != TASK_ZOMBIE && task_has_ended(t))
			return t;
	}
	return NULL;
}

/* Whoever is stopped can still be killed, and ends when he likes before: then that is what failed. */
static int explain_death(struct dump *d, int r)
{
	/* What was there a moment ago and is not: its owner may be about to go, thread by thread. */
	int looks = r == -ENOENT || r == -ESRCH ? 20 : 1;
	const struct task *dead = NULL;

	if (r >= 0)
		return r;
	while (!(dead = find_dead(d)) && --looks > 0)
		usleep(5000);
	if (!dead)
		return r;
	log_forget();
	return fail(-ESRCH, "%s: ended while it was being dumped", task_name(dead));
}

static int run_stages(struct dump *d)
{
	for (size_t i = 0; i < ARRAY_SIZE(stages); i++) {
		bool told = log_tells(LOG_DEBUG, __FILE__);
		uint64_t begun = told ? clock_ns() : 0, cpu = told ? cpu_ns() : 0;
		int r = is_left_out(d, &stages[i]) ? 0 : stages[i].run(d);

		if (told)
			debug("stage %s: %" PRIu64 " us, %" PRIu64 " us of CPU time",
			      stages[i].name, (clock_ns() - begun) / 1000, (cpu_ns() - cpu) / 1000);
		r = explain_interrupt(d, explain_death(d, r));
		if (r < 0)
			return log_failure() ? r : fail(r, "%s", stages[i].name);
		if (d->opt->fail_at && !strcmp(d->opt->fail_at, stages[i].name))
			return fail(-ECANCELED, "failed at the end of stage %s, as asked",
			            d->opt->fail_at);
	}
	return 0;
}

static void dump_done(struct dump *d)
{
	unfreeze_tree(d);
	awake_end(&d->awake);
	tell_unlocked(d);
	snapshot_done(d);
	writers_done(d);
	hands_end(d->hands);
	pages_free(d->held);
	guard_leave(d);
	track_done(d);
	files_done(d);
	shmems_done(d);
	sysv_done(d);
	inodes_done(d);
	inode_open_done(d);
	build_ids_done(d);
	cgroups_done(d);
	outsiders_done(d);
	tracees_done(d);
	alike_done(d);
	alike_tasks_done(d);
	together_done(d);
	vmas_forget(d);
	kernel_memory_done(d);
	array_done(&d->vdsos);
	tasks_done(d);
	free(d->netns);
	image_writer_free(d->out);
	if (d->made_dir && !d->sealed)
		rmdir(d->opt->dir);
	closep(&d->dirfd);
}

static void note_facts(const struct dump *d, uint64_t begun)
{
	size_t threads = 0, asked = 0;

	array_each (t, &d->tasks) {
		threads += t->threads.n;
		asked += alike_asked(t);
	}
	log_fact("tasks", d->tasks.n);
	log_fact("threads", threads);
	log_fact("threads_asked", asked);
	log_fact("files", d->files.n);
	if (d->opt->figures)
		d->opt->figures->frozen_ns = d->released_at - d->frozen_at;
	log_fact("frozen_us", (d->released_at - d->frozen_at) / 1000);
	log_fact("frozen_cpu_us", d->frozen_cpu / 1000);
	log_fact("total_us", (clock_ns() - begun) / 1000);
	info("%zu processes with %zu threads, frozen for %" PRIu64 " us", d->tasks.n, threads,
	     (d->released_at - d->frozen_at) / 1000);
}

/*
 * Nobody needs to hear of each stop of each thread by SIGCHLD, too; and as the guard traces us, one that is
 * ignored would stop us, one that is blocked does not.
 */
static void signal_stops_no_more(void)
{
	const struct sigaction sa = { .sa_handler = SIG_DFL, .sa_flags = SA_NOCLDSTOP };
	sigset_t set;

	sigaction(SIGCHLD, &sa, NULL);
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
}

static int run_once(const struct dump_options *opt, bool again, bool *ret_passing)
{
	Img__Manifest manifest = IMG__MANIFEST__INIT;
	struct dump d = {
		.opt = opt,
		.dirfd = -1,
		.manifest = &manifest,
		.again = again,
		.awake = awake_hold(),
	};
	uint64_t begun = clock_ns();
	int r = run_stages(&d);

	if (r == 0)
		note_facts(&d, begun);
	*ret_passing = d.passing && !d.sealed;
	dump_done(&d);
	return r;
}

/* 2 ms, 4 ms ...: by then it is over, or it stays. A stream has begun. */
static bool may_try_again(const struct dump_options *opt, int tries)
{
	const struct timespec moment = { .tv_nsec = 1000000L << tries };

	if (tries > TRIES_MAX || moment.tv_nsec / 1000000 > opt->timeout_ms || opt->stream ||
	    interrupted())
		return false;
	info("%s; once more", log_failure());
	log_forget();
	log_losses_forget();
	nanosleep(&moment, NULL);
	return true;
}

int dump_run(const struct dump_options *opt)
{
	bool passing = false;
	int r = check_fail_at(opt->fail_at), tries = 0;

	if (r == 0)
		r = unknown_parse(&opt->on_unknown_fd);
	if (r == 0)
		r = external_parse(&opt->external);
	if (r == 0)
		r = ext_unix_parse(&opt->ext_unix);
	interrupts_catch();
	signal_stops_no_more();
	if (r < 0)
		return r;
	do
		r = run_once(opt, tries > 0, &passing);
	while (r < 0 && passing && may_try_again(opt, ++tries));
	return r;
}

int dump_check(const struct dump_options *opt)
{
	struct dump d = { .opt = opt, .dirfd = -1, .awake = -1 };
	int r = unknown_parse(&opt->on_unknown_fd);
	if (r == 0)
		r = external_parse(&opt->external);

	if (r == 0)
		r = ext_unix_parse(&opt->ext_unix);
	if (r == 0)
		r = look_tree(&d);
	dump_done(&d);
	return r < 0 ? r : (int)d.obstacles;
}
