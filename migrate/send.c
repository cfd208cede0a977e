/*
 * The sender. How long the tree will have to stand still is guessed from the rounds: what was
 * written to while the one before last went over the wire went with the last one; as much will be
 * written to while the last one goes, in proportion to the time. It goes as fast as any before, and
 * the rest is what the last one cost besides.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/deadline.h"
#include "lib/log.h"
#include "lib/progress.h"
#include "migrate/migrate.h"
#include "migrate/peer.h"
#include "migrate/piece.h"
#include "proto/netlock.pb-c.h"

#define RESTORE_MS 10 /* for what is not memory: forks, files */

struct round {
	uint64_t bytes, ns, frozen_ns;
};

struct sender {
	const struct migration *m;
	const struct dump_options *opt;
	struct channel channel;
	pid_t peer;
	struct images *chain;
	char parent[24]; /* where it is, seen from the next */
	unsigned n;      /* rounds so far */
	struct round last, before;
	uint64_t speed;                               /* of the fastest, bytes per us */
	uint64_t total, frozen_at, running_at, there; /* the pid */
	bool post_copy;                               /* the last round is without its pages ... */
	struct later later;                           /* ... which these are */
	struct dump *tree;                            /* while they move */
	bool gone;                                    /* GO was said */
	bool fail_rest;                               /* as if (tests) */
};

static void sender_done(struct sender *s)
{
	peer_end(&s->channel, s->peer);
	images_free(s->chain);
	later_done(&s->later);
}

static int hear(const struct sender *s, enum word word)
{
	uint64_t none;
	bool told;

	return channel_hear(&s->channel, word, s->opt->timeout_ms, &none, &told);
}

static int hello(const struct sender *s)
{
	int r = channel_say(&s->channel, WORD_HELLO, 0, NULL);

	/* It may have gone before we came, and have said why. */
	if (r == -EPIPE)
		log_forget();
	else if (r < 0)
		return r;
	return hear(s, WORD_HELLO);
}

/* One more dump, of which HOW says what it is. */
static int round_send(struct sender *s, enum word word, struct dump_options *how)
{
	struct dump_figures figures = {};
	uint64_t begun = clock_ns();
	int r = channel_say(&s->channel, word, ++s->n, NULL);

	how->stream = true;
	how->stream_fd = s->channel.out;
	how->dir = s->channel.peer;
	how->sync = false;
	how->chain = &s->chain;
	how->chain_path = s->parent;
	how->figures = &figures;
	log_losses_forget();
	if (r == 0)
		r = dump_run(how);
	snprintf(s->parent, sizeof(s->parent), "../%u", s->n);
	s->before = s->last;
	s->last = (struct round){ figures.bytes, clock_ns() - begun, figures.frozen_ns };
	s->total += figures.bytes;
	if (s->last.bytes / (s->last.ns / 1000 + 1) > s->speed)
		s->speed = s->last.bytes / (s->last.ns / 1000 + 1);
	return r;
}

/* Milliseconds that the tree would stand still if the next round was the last. */
static uint64_t guess_ms(const struct sender *s, uint64_t *ret_bytes)
{
	*ret_bytes = s->last.bytes;
	if (s->n > 1 && s->last.ns < s->before.ns)
		*ret_bytes = (uint64_t)((double)s->last.bytes * (double)s->last.ns /
		                        (double)s->before.ns);
	return *ret_bytes / (s->speed + 1) / 1000 + s->last.frozen_ns / 1000000 + RESTORE_MS;
}

/* Another round is worth it only if it is clearly shorter than the one before. */
static bool converges(const struct sender *s)
{
	return s->n < 3 || s->last.bytes < s->before.bytes / 10 * 9;
}

static int go_ahead(struct sender *s)
{
	for (;;) {
		struct dump_options how = *s->opt;
		uint64_t left, ms;
		int r;

		how.memory_only = how.track = how.leave_running = true;
		r = round_send(s, WORD_ROUND, &how);
		if (r == 0)
			r = hear(s, WORD_KEPT);
		if (r < 0)
			return r;
		ms = guess_ms(s, &left);
		progress_note("round %u: %" PRIu64 " MiB in %" PRIu64 " ms, %" PRIu64
		              " MB/s; about %" PRIu64
		              " MiB are left, for which it stands still for %" PRIu64 " ms",
		              s->n, s->last.bytes >> 20, s->last.ns / 1000000,
		              s->last.bytes / (s->last.ns / 1000 + 1), left >> 20, ms);
		if (ms <= s->m->downtime_ms)
			return 0;
		if ((s->n + 1 >= s->m->max_rounds || !converges(s)) && s->m->post_copy) {
			progress_note("it writes faster than can be sent: after %u rounds what is "
			              "left moves when it runs there",
			              s->n);
			s->post_copy = true;
			return 0;
		}
		if (s->n + 1 >= s->m->max_rounds || !converges(s)) {
			warn("it writes faster than can be sent: after %u rounds it will stand "
			     "still for "
			     "about %" PRIu64 " ms instead of %u ms (--downtime)",
			     s->n, ms, s->m->downtime_ms);
			return 0;
		}
	}
}

/* The tree stands still here, and is all there: at no time do both run. */
static int hand_over(void *arg, struct dump *d)
{
	struct sender *s = arg;
	bool told = false;
	int r = hear(s, WORD_READY);

	s->frozen_at = d->frozen_at;
	if (r < 0)
		return r;
	dump_keep_stopped(d);
	r = channel_say(&s->channel, WORD_GO, 0, NULL);
	if (r == 0)
		r = channel_hear(&s->channel, WORD_RUNNING, s->opt->timeout_ms, &s->there, &told);
	s->running_at = clock_ns();
	if (told)
		dump_may_run(d);
	else if (r < 0)
		warn("it runs at %s, or not: it is left stopped here; kill it (-KILL) if it runs "
		     "there, "
		     "let it run on (-CONT) if it does not",
		     s->channel.peer);
	return r;
}

/* ---- what is left moves afterwards ---- */

static int on_ready(void *arg)
{
	struct sender *s = arg;

	dump_keep_stopped(s->tree);
	s->gone = true;
	return channel_say(&s->channel, WORD_GO, 0, NULL);
}

static int on_running(void *arg, uint64_t pid)
{
	struct sender *s = arg;

	s->running_at = clock_ns();
	s->there = pid;
	progress_note("it runs at %s, as pid %" PRIu64
	              ", after %u rounds; it stood still for %" PRIu64
	              " ms; the rest of its memory follows",
	              s->channel.peer, pid, s->n, (s->running_at - s->frozen_at) / 1000000);
	return s->fail_rest ? fail(-ECANCELED, "failed while the rest moved, as asked") : 0;
}

/* What became of it, where something failed after it was given away. */
static void tell_halves(const struct sender *s)
{
	if (s->running_at)
		warn("it ran at %s already, and is killed there, as it cannot have the rest of its "
		     "memory: it is left stopped here, as it was when it left; let all of its "
		     "processes run on from there (-CONT), or kill them (-KILL)",
		     s->channel.peer);
	else
		warn("it is left stopped here, as it was when it left, and is killed at %s: let "
		     "all "
		     "of its processes run on (-CONT), or kill them (-KILL)",
		     s->channel.peer);
}

static int hand_over_later(void *arg, struct dump *d)
{
	struct sender *s = arg;
	const struct giver g = { .channel = &s->channel,
		                 .later = &s->later,
		                 .timeout_ms = s->opt->timeout_ms,
		                 .ready = on_ready,
		                 .running = on_running,
		                 .arg = s };
	bool told = false;
	int r;

	s->tree = d;
	s->frozen_at = d->frozen_at;
	later_sort(&s->later);
	r = give_all(&g, &told);
	if (r < 0 && told && s->gone && !s->running_at)
		dump_may_run(d);
	else if (r < 0 && s->gone)
		tell_halves(s);
	return r;
}

static int hand_last(struct sender *s)
{
	struct dump_options how = *s->opt;

	how.hand_over = s->post_copy ? hand_over_later : hand_over;
	how.hand_over_arg = s;
	how.later = s->post_copy ? &s->later : NULL;
	return round_send(s, s->post_copy ? WORD_LATER : WORD_LAST, &how);
}

/* It keeps this machine from telling the peers of connections that they are gone. */
static void tell_lock(const struct sender *s)
{
	const Img__Netlock *lock = (const Img__Netlock *)images_one(s->chain, KIND_netlock, 0);

	if (lock)
		warn("its connections stay locked in this network namespace; when nothing for its "
		     "address arrives here any more: crtool unlock --table %s",
		     lock->table);
}

static void tell(const struct sender *s)
{
	log_fact("rounds", s->n);
	log_fact("sent_bytes", s->total);
	log_fact("downtime_us", (s->running_at - s->frozen_at) / 1000);
	log_fact("pid", s->there);
	progress_note("it runs at %s, as pid %" PRIu64 ", after %u rounds of %" PRIu64
	              " MiB altogether; it stood still for %" PRIu64 " ms",
	              s->channel.peer, s->there, s->n, s->total >> 20,
	              (s->running_at - s->frozen_at) / 1000000);
}

int migrate_send(const struct migration *m, const struct dump_options *opt)
{
	struct dump_options own = *opt;
	auto_(sender_done) struct sender s = { .m = m, .opt = &own, .channel = { -1, -1, m->to } };
	int r = peer_start(m, &s.channel, &s.peer);

	pthread_mutex_init(&s.later.lock, NULL);
	if (own.fail_at && !strcmp(own.fail_at, "rest")) {
		s.fail_rest = true;
		own.fail_at = NULL;
	}
	if (r == 0)
		r = hello(&s);
	if (r == 0)
		r = go_ahead(&s);
	if (r == 0)
		r = hand_last(&s);
	if (r == 0) {
		tell(&s);
		tell_lock(&s);
	}
	return r;
}
