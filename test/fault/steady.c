/*
 * A program that is always in the middle of something and looks after itself:
 *
 *	steady KIND [COUNT]
 *
 * COUNT threads compute with vector registers, sleep in timed calls, handle
 * signals on alternate stacks. Each checks its own results all the time, and
 * at the end the main thread checks that all of them still go on, with the
 * signal mask that they began with. So one victim serves many dumps that fail.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "zdtm.h"

#define ROUNDS 20000

struct life {
	pthread_t thread;
	const struct kind *kind;
	atomic_ulong beats;
	sigset_t mask;
};

static atomic_int done;
static _Thread_local volatile unsigned long handled;

/* Integer and vector registers hold a long computation with a known end. */
__attribute__((target("avx2"))) static void compute(struct life *l)
{
	typedef double vector __attribute__((vector_size(32)));
	vector v[4];
	uint64_t x = 1, y = 1;

	for (int i = 0; i < 4; i++)
		v[i] = (vector){ i, i + 1, i + 2, i + 3 };
	for (int round = 0; round < ROUNDS; round++) {
		x = x * 6364136223846793005u + 1442695040888963407u;
		for (int i = 0; i < 4; i++)
			v[i] = v[i] + 1.0;
		__asm__ volatile("" : "+r"(x), "+x"(v[0]), "+x"(v[1]), "+x"(v[2]), "+x"(v[3]));
	}
	for (int round = 0; round < ROUNDS; round++)
		y = y * 6364136223846793005u + 1442695040888963407u;
	check(x == y);
	for (int i = 0; i < 4; i++)
		for (int lane = 0; lane < 4; lane++)
			check(v[i][lane] == i + lane + (double)ROUNDS);
}

static int64_t now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

/* No EINTR, and never a shorter sleep. */
static void sleeps(struct life *l)
{
	struct timespec ts = { .tv_nsec = 3000000 };
	int64_t start = now_us();
	static int word;

	check(nanosleep(&ts, NULL) == 0);
	check(now_us() - start >= 3000);
	check(poll(NULL, 0, 3) == 0);
	check(now_us() - start >= 6000);
	check(clock_nanosleep(CLOCK_MONOTONIC, 0, &ts, NULL) == 0);
	check(syscall(SYS_futex, &word, 0, 0, &ts, NULL, 0) < 0 && errno == ETIMEDOUT);
	check(now_us() - start >= 12000);
}

/* Long ones, so that every dump finds it in the same call. */
static void sleeps_long(struct life *l)
{
	struct timespec ts = { .tv_nsec = 60000000 };

	check(nanosleep(&ts, NULL) == 0);
}

static void on_signal(int sig, siginfo_t *si, void *context)
{
	volatile uint64_t x = 1;
	stack_t ss;

	check(sigaltstack(NULL, &ss) == 0);
	check(ss.ss_flags & SS_ONSTACK);
	for (int i = 0; i < 10000; i++)
		x = x * 3;
	handled++;
}

/* Signals one after the other; the thread is mostly on its alternate stack. */
static void handles(struct life *l)
{
	static _Thread_local stack_t ss;
	unsigned long before = handled;

	if (!ss.ss_sp) {
		ss = (stack_t){ .ss_sp = malloc(65536), .ss_size = 65536 };
		check(sigaltstack(&ss, NULL) == 0);
	}
	for (int i = 0; i < 10; i++)
		check(pthread_kill(l->thread, SIGUSR1) == 0);
	check(handled - before == 10);
}

static const struct kind {
	const char *name;
	void (*beat)(struct life *l);
} kinds[] = {
	{ "compute", compute },
	{ "sleep", sleeps },
	{ "sleep-long", sleeps_long },
	{ "handle", handles },
};
#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

static void beat(struct life *l)
{
	sigset_t mask;

	l->kind->beat(l);
	check(pthread_sigmask(SIG_SETMASK, NULL, &mask) == 0);
	check(memcmp(&mask, &l->mask, 8) == 0);
	l->beats++;
}

static void *live(void *arg)
{
	struct life *l = arg;

	l->thread = pthread_self();
	check(pthread_sigmask(SIG_SETMASK, NULL, &l->mask) == 0);
	while (!done)
		beat(l);
	return NULL;
}

static const struct kind *kind_of(const char *name, size_t i)
{
	const struct kind *kind = kinds;

	if (!strcmp(name, "mix"))
		return &kinds[i % KINDS];
	while (strcmp(kind->name, name))
		check(++kind < kinds + KINDS);
	return kind;
}

static void start(struct life *l, const struct kind *kind)
{
	l->kind = kind;
	check(pthread_create(&l->thread, NULL, live, l) == 0);
}

/* The main thread itself, and no other. */
static int live_alone(struct life *l, const char *name)
{
	l->thread = pthread_self();
	l->kind = kind_of(name, 0);
	check(pthread_sigmask(SIG_SETMASK, NULL, &l->mask) == 0);
	beat(l);
	zdtm_parked();
	while (!zdtm_released())
		beat(l);
	for (int i = 0; i < 3; i++)
		beat(l);
	return zdtm_pass();
}

/* Every thread still beats. */
static void check_beats(const struct life *l)
{
	unsigned long before = l->beats;
	int64_t end = now_us() + 10000000;

	while (l->beats - before < 2) {
		check(now_us() < end);
		zdtm_nap();
	}
}

int main(int argc, char **argv)
{
	struct sigaction sa = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK };
	size_t n = argc > 2 ? (size_t)atol(argv[2]) : 0;
	struct life *lives = calloc(n + 1, sizeof(*lives));

	check(nice(19) >= 0); /* there are a thousand dumps to come, all at work beside it */
	check(argc > 1 && lives && sigaction(SIGUSR1, &sa, NULL) == 0);
	if (n == 0)
		return live_alone(&lives[0], argv[1]);
	for (size_t i = 0; i < n; i++)
		start(&lives[i], kind_of(argv[1], i));
	for (size_t i = 0; i < n; i++)
		check_beats(&lives[i]);
	zdtm_park();
	for (size_t i = 0; i < n; i++)
		check_beats(&lives[i]);
	done = 1;
	for (size_t i = 0; i < n; i++)
		check(pthread_join(lives[i].thread, NULL) == 0);
	return zdtm_pass();
}
