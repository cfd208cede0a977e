#include "lib/hands.h"

#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

#include "lib/deadline.h"

#define HEAP_STEP (1 << 20)
#define POLL_NS   20000000 /* as often as the timer of lib/deadline.c rings */

struct worker {
	struct hands *hands;
	pthread_t thread;
	unsigned number;
	bool busy;
};

struct hands {
	pthread_mutex_t lock;
	pthread_cond_t begin, end;
	unsigned round; /* counts the works that were given out */
	unsigned busy;  /* hands that are not done with it */
	bool over;
	int (*fn)(void *arg, unsigned hand);
	void *arg;
	int error;
	unsigned n; /* workers */
	struct worker workers[];
};

static void set_error(struct hands *h, int r)
{
	if (r < 0 && !h->error)
		h->error = r;
}

static void *work(void *arg)
{
	struct worker *w = arg;
	struct hands *h = w->hands;
	unsigned seen = 0;

	pthread_mutex_lock(&h->lock);
	while (!h->over) {
		int r;

		if (h->round == seen) {
			pthread_cond_wait(&h->begin, &h->lock);
			continue;
		}
		seen = h->round;
		pthread_mutex_unlock(&h->lock);
		r = h->fn(h->arg, w->number);
		pthread_mutex_lock(&h->lock);
		set_error(h, r);
		w->busy = false;
		if (--h->busy == 0)
			pthread_cond_signal(&h->end);
	}
	pthread_mutex_unlock(&h->lock);
	return NULL;
}

/* Signals are for the first thread, which passes on the one that ends waits. */
static int start_worker(struct hands *h)
{
	struct worker *w = &h->workers[h->n];
	sigset_t most, old;
	int r;

	*w = (struct worker){ .hands = h, .number = h->n + 1 };
	sigfillset(&most);
	sigdelset(&most, SIGALRM);
	pthread_sigmask(SIG_SETMASK, &most, &old);
	r = pthread_create(&w->thread, NULL, work, w);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	h->n += r == 0;
	return -r;
}

int hands_begin(unsigned n, struct hands **ret)
{
	struct hands *h = calloc(1, sizeof(*h) + n * sizeof(*h->workers));
	pthread_condattr_t attr;
	int r = 0;

	if (!h)
		return -ENOMEM;
	mallopt(M_TOP_PAD, HEAP_STEP);
	pthread_mutex_init(&h->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&h->begin, NULL);
	pthread_cond_init(&h->end, &attr);
	pthread_condattr_destroy(&attr);
	while (r == 0 && h->n + 1 < n)
		r = start_worker(h);
	if (r < 0) {
		hands_end(h);
		return r;
	}
	*ret = h;
	return 0;
}

void hands_end(struct hands *h)
{
	if (!h)
		return;
	pthread_mutex_lock(&h->lock);
	h->over = true;
	pthread_cond_broadcast(&h->begin);
	pthread_mutex_unlock(&h->lock);
	for (unsigned i = 0; i < h->n; i++)
		pthread_join(h->workers[i].thread, NULL);
	pthread_cond_destroy(&h->begin);
	pthread_cond_destroy(&h->end);
	pthread_mutex_destroy(&h->lock);
	free(h);
}

unsigned hands_count(const struct hands *h)
{
	return h ? h->n + 1 : 1;
}

static void hurry(struct hands *h)
{
	for (unsigned i = 0; i < h->n; i++)
		if (h->workers[i].busy)
			pthread_kill(h->workers[i].thread, SIGALRM);
}

static struct timespec soon(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	ts.tv_nsec += POLL_NS;
	ts.tv_sec += ts.tv_nsec / 1000000000;
	ts.tv_nsec %= 1000000000;
	return ts;
}

/* Locked. */
static void await(struct hands *h)
{
	while (h->busy) {
		struct timespec until = soon();

		if (pthread_cond_timedwait(&h->end, &h->lock, &until) && deadline_passed())
			hurry(h);
	}
}

int hands_await(struct hands *h)
{
	int r;

	if (!h)
		return 0;
	pthread_mutex_lock(&h->lock);
	await(h);
	r = h->error;
	h->error = 0;
	pthread_mutex_unlock(&h->lock);
	return r;
}

void hands_give(struct hands *h, int (*fn)(void *arg, unsigned hand), void *arg)
{
	if (!h)
		return;
	pthread_mutex_lock(&h->lock);
	await(h);
	h->fn = fn;
	h->arg = arg;
	h->busy = h->n;
	for (unsigned i = 0; i < h->n; i++)
		h->workers[i].busy = true;
	h->round++;
	pthread_cond_broadcast(&h->begin);
	pthread_mutex_unlock(&h->lock);
}

int hands_all(struct hands *h, int (*fn)(void *arg, unsigned hand), void *arg)
{
	int mine, others;

	hands_give(h, fn, arg);
	mine = fn(arg, 0);
	others = hands_await(h);
	return mine < 0 ? mine : others;
}
