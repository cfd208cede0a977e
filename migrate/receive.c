/*
 * The receiver. The checkpoints of the rounds lie beside each other in a directory of their own, which is
 * gone at the end: a tree whose memory is still coming (--lazy) has its files open.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "images/chain.h"
#include "images/receive.h"
#include "lib/cleanup.h"
#include "lib/deadline.h"
#include "lib/fd.h"
#include "lib/log.h"
#include "migrate/channel.h"
#include "migrate/migrate.h"
#include "migrate/piece.h"
#include "migrate/place.h"

struct receiver {
	struct channel channel;
	const struct restore_options *opt;
	char *top; /* the directory; NULL: not made yet */
	int lock;  /* of it; -1 */
	uint64_t n;
	pid_t root;
	int wait[2]; /* both ends of a pipe, or 0: whoever brings pages has the second, too */
};

static void receiver_done(struct receiver *rc)
{
	if (rc->top)
		place_remove(rc->top);
	free(rc->top);
	closep(&rc->lock);
	closep(&rc->channel.in);
	closep(&rc->channel.out);
}

/* stdin and stdout are ours alone: nothing else that is said, and nobody that is forked, is to come in between. */
static int channel_open(struct channel *c)
{
	auto_close int null = null_open();

	c->in = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
	c->out = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
	if (null < 0 || c->in < 0 || c->out < 0)
		return fail(-errno, "receive: stdin and stdout are to be the connection");
	if (isatty(c->in) || isatty(c->out))
		return fail(-EINVAL,
		            "receive: is run by crtool migrate, at the other end of a connection; "
		            "stdin and stdout are a terminal");
	dup2(null, STDIN_FILENO);
	dup2(null, STDOUT_FILENO);
	return 0;
}

static int round_keep(struct receiver *rc, const struct message *m, char **ret_dir)
{
	auto_close int dirfd = -1;

	if (m->value != ++rc->n || rc->n > CHAIN_MAX)
		return fail(-EPROTO, "round %" PRIu64 " in place of %" PRIu64, m->value, rc->n);
	if (asprintf(ret_dir, "%s/%" PRIu64, rc->top, rc->n) < 0) {
		*ret_dir = NULL;
		return -ENOMEM;
	}
	if (mkdir(*ret_dir, 0700) < 0)
		return fail(-errno, "receive: %s", *ret_dir);
	dirfd = open(*ret_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dirfd < 0)
		return fail(-errno, "receive: %s", *ret_dir);
	return stream_unpack_one(rc->channel.in, dirfd, NULL);
}

/* All of it stands here: may it run? */
static int ask_to_go(void *arg)
{
	const struct receiver *rc = arg;
	uint64_t none;
	bool told;
	int r = channel_say(&rc->channel, WORD_READY, 0, NULL);

	return r < 0 ? r : channel_hear(&rc->channel, WORD_GO, 0, &none, &told);
}

static int bring_back(struct receiver *rc, const char *dir, const struct far *far)
{
	struct restore_options opt = *rc->opt;
	int status;

	opt.dir = dir;
	opt.detach = true;
	opt.trusted = true;
	opt.ready = ask_to_go;
	opt.ready_arg = rc;
	opt.ret_root = &rc->root;
	opt.callers[0] = rc->channel.in;
	opt.callers[1] = rc->channel.out;
	opt.callers[2] = rc->wait[1] > 0 ? rc->wait[1] : 0;
	opt.far = far;
	opt.lazy |= far != NULL;
	return restore_run(&opt, &status);
}

/* Its pages come from the sender, to whom somebody beside the tree will speak. */
static int bring_later(struct receiver *rc, const char *dir)
{
	struct far far;
	int r = pipe2(rc->wait, O_CLOEXEC) < 0 ? fail(-errno, "receive: a pipe")
	                                       : taker_new(&rc->channel, &far);

	if (r < 0)
		return r;
	r = bring_back(rc, dir, &far);
	taker_free(&far);
	return r;
}

/* ssh takes our end for that of the connection: as long as somebody speaks there we stay. */
static void await_pages(struct receiver *rc)
{
	char none;

	if (!rc->wait[1])
		return;
	close(rc->wait[1]);
	rc->wait[1] = 0;
	while (read(rc->wait[0], &none, 1) < 0 && errno == EINTR)
		continue;
}

/* Until the tree runs. */
static int serve(struct receiver *rc)
{
	char text[CHANNEL_TEXT + 1];
	struct message m;
	int r = channel_next(&rc->channel, &m, text);

	if (r == 0 && m.word != WORD_HELLO)
		r = fail(-EPROTO, "word %" PRIu32 " in place of a greeting", m.word);
	if (r == 0)
		r = channel_say(&rc->channel, WORD_HELLO, 0, NULL);
	while (r == 0) {
		auto_free char *dir = NULL;

		r = channel_next(&rc->channel, &m, text);
		if (r == 0 && m.word != WORD_ROUND && m.word != WORD_LAST && m.word != WORD_LATER)
			r = fail(-EPROTO, "word %" PRIu32 " in place of a round", m.word);
		if (r == 0)
			r = round_keep(rc, &m, &dir);
		if (r == 0 && m.word != WORD_ROUND)
			return m.word == WORD_LAST ? bring_back(rc, dir, NULL)
			                           : bring_later(rc, dir);
		if (r == 0)
			r = channel_say(&rc->channel, WORD_KEPT, rc->n, NULL);
	}
	return r == -EPIPE && !log_failure()
	               ? fail(r, "receive: the sender has gone; nothing was restored")
	               : r;
}

int migrate_receive(const char *dir, const struct restore_options *opt)
{
	auto_(receiver_done) struct receiver rc = { .channel = { -1, -1, "the sender" },
		                                    .opt = opt,
		                                    .lock = -1 };
	int r = channel_open(&rc.channel);

	if (r < 0)
		return r;
	interrupts_catch();
	r = place_new(dir, &rc.top, &rc.lock);
	if (r == 0)
		r = serve(&rc);
	if (r == 0) {
		r = channel_say(&rc.channel, WORD_RUNNING, (uint64_t)rc.root, NULL);
		await_pages(&rc);
		return r;
	}
	channel_say(&rc.channel, WORD_FAILED, (uint64_t)-r,
	            log_failure() ? log_failure() : strerror(-r));
	return r;
}
