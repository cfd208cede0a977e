/*
 * Where the memory of the kernel cannot be read (lib/uring_facts.h) nothing tells how long the thread of a
 * ring polls before it sleeps (sq_thread_idle), but this can be seen: it says so in the ring when it
 * does. It counts in ticks, and so does the clock CLOCK_MONOTONIC_COARSE, by whose resolution what was
 * measured is cut.
 */
#define _GNU_SOURCE
#include "dump/ring_poll.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/fd.h"
#include "lib/log.h"

#define NS_PER_MS UINT64_C(1000000)
#define LONG_MS   3000 /* nobody has to wait longer for this */
#define SHORT_MS  100  /* what is shorter is measured more than once: others may have had the CPU */
#define TRIES     3

bool ring_is_polled(const char *text)
{
	size_t len;
	const char *value = key_value(text, "SqThread", &len);

	return value && strtol(value, NULL, 10) >= 0;
}

/* ---- how long it polls ---- */

static uint64_t now_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * 1000 * NS_PER_MS + (uint64_t)ts.tv_nsec;
}

static bool is_asleep(const struct uring *u)
{
	return __atomic_load_n(uring_u32(u, u->params.sq_off.flags), __ATOMIC_ACQUIRE) &
	       IORING_SQ_NEED_WAKEUP;
}

/* False: it did not come to that. */
static bool await_sleep(const struct uring *u, bool asleep, uint64_t end_ns)
{
	while (is_asleep(u) != asleep) {
		if (now_ns(CLOCK_MONOTONIC) > end_ns)
			return false;
		nanosleep(&(struct timespec){ .tv_nsec = 50000 }, NULL);
	}
	return true;
}

static bool is_empty(const struct uring *u)
{
	return __atomic_load_n(uring_u32(u, u->params.sq_off.head), __ATOMIC_ACQUIRE) ==
	       __atomic_load_n(uring_u32(u, u->params.sq_off.tail), __ATOMIC_ACQUIRE);
}

/*
 * One measurement, in ticks that have passed. 0: it could not be seen; a thread that sleeps though
 * a request is prepared is not woken, that is for the program to do.
 */
static uint64_t poll_ticks(const struct uring *u, uint64_t tick, uint64_t end_ns)
{
	uint64_t start;

	if (!await_sleep(u, true, end_ns) || !is_empty(u))
		return 0;
	start = now_ns(CLOCK_MONOTONIC);
	if (syscall(SYS_io_uring_enter, u->fd, 0, 0, IORING_ENTER_SQ_WAKEUP, NULL, 0) < 0)
		return 0;
	if (!await_sleep(u, false, start + 20 * NS_PER_MS))
		return 1; /* it was too short to be seen */
	if (!await_sleep(u, true, end_ns))
		return 0;
	start = (now_ns(CLOCK_MONOTONIC) - start) / tick;
	return start ? start : 1;
}

static uint64_t tick_ns(void)
{
	struct timespec res;

	clock_getres(CLOCK_MONOTONIC_COARSE, &res);
	return (uint64_t)res.tv_nsec ? (uint64_t)res.tv_nsec : NS_PER_MS;
}

uint32_t ring_poll_ms(uint64_t ticks)
{
	return (uint32_t)(ticks * tick_ns() / NS_PER_MS);
}

static uint32_t measure(const struct dump *d, const struct uring *u)
{
	uint64_t tick = tick_ns(), least = 0, most = LONG_MS;

	if (d->opt->timeout_ms && d->opt->timeout_ms < most)
		most = d->opt->timeout_ms;
	for (int i = 0; i < TRIES; i++) {
		uint64_t ticks = poll_ticks(u, tick, now_ns(CLOCK_MONOTONIC) + most * NS_PER_MS);

		if (!ticks)
			break;
		if (!least || ticks < least)
			least = ticks;
		if (least * tick > SHORT_MS * NS_PER_MS)
			break;
	}
	return (uint32_t)((least * tick + NS_PER_MS - 1) / NS_PER_MS);
}

static struct ring_poll *poll_of(const struct dump *d, const struct file *f)
{
	if (d->ring_polls)
		array_each (p, &d->ring_polls->all)
			if (p->dev == f->st.st_dev && p->ino == f->st.st_ino)
				return p;
	return NULL;
}

int ring_poll_look(struct dump *d, const struct file *f, const struct uring *u)
{
	struct ring_poll *p;

	if (poll_of(d, f))
		return 0;
	if (!d->ring_polls)
		d->ring_polls = calloc(1, sizeof(*d->ring_polls));
	p = d->ring_polls ? array_add(&d->ring_polls->all) : NULL;
	if (!p)
		return -ENOMEM;
	*p = (struct ring_poll){ f->st.st_dev, f->st.st_ino, measure(d, u) };
	return 0;
}

void ring_polls_done(struct dump *d)
{
	if (d->ring_polls)
		array_done(&d->ring_polls->all);
	free(d->ring_polls);
	d->ring_polls = NULL;
}

/* ---- whose thread it is ---- */

static long number_of(const char *text, const char *key)
{
	size_t len;
	const char *value = key_value(text, key, &len);

	return value ? strtol(value, NULL, 10) : -1;
}

/*
 * Before it sleeps it says so, looks once more, and goes on if there is something: only one that does not run has
 * looked. The kernel waits for a thread that is about to sleep before it tells what call it is in.
 */
static bool has_looked(const struct task *t, const char *text)
{
	auto_free char *call = NULL;
	char path[48];

	snprintf(path, sizeof(path), "task/%ld/syscall", number_of(text, "SqThread"));
	return file_read(t->proc, path, &call) < 0 ||
	       strncmp(call, "running", strlen("running")) != 0;
}

/* What is there for an awake thread it takes at once. */
bool ring_poll_quiet(const struct file *f, const char *text, const struct uring *u)
{
	return is_empty(u) || (is_asleep(u) && has_looked(f->task, text) && is_asleep(u));
}

/* Does another ring use the same thread? */
static bool is_attached(const struct dump *d, const struct file *f, long thread)
{
	array_each (other, &d->files)
		if (other->id != f->id && other->kind == f->kind && other->fdinfo &&
		    number_of(other->fdinfo, "SqThread") == thread)
			return true;
	return false;
}

/* How many threads of T poll rings; *RET_TID is one of them: THREAD if that is among them. */
static size_t polling_threads(const struct task *t, long thread, pid_t *ret_tid)
{
	auto_close int fd = openat(t->proc, "task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	auto_dir DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *de;
	size_t n = 0;

	if (dir)
		fd = -1;
	while (dir && (de = readdir(dir))) {
		auto_free char *comm = NULL;
		char path[32];

		snprintf(path, sizeof(path), "%.10s/comm", de->d_name);
		if (file_read(dirfd(dir), path, &comm) < 0 || strncmp(comm, "iou-sqp-", 8) != 0)
			continue;
		if (!n++ || strtol(de->d_name, NULL, 10) == thread)
			*ret_tid = (pid_t)strtol(de->d_name, NULL, 10);
	}
	return n;
}

/* The CPU that THREAD is bound to (IORING_SETUP_SQ_AFF); -1: none. */
static int bound_cpu(pid_t thread)
{
	cpu_set_t set;
	int cpu = 0;

	if (sysconf(_SC_NPROCESSORS_ONLN) < 2 || sched_getaffinity(thread, sizeof(set), &set) < 0 ||
	    CPU_COUNT(&set) != 1)
		return -1;
	while (!CPU_ISSET(cpu, &set))
		cpu++;
	return cpu;
}

static void put_cpu(const struct file *f, pid_t tid, bool known, Img__IoUring *msg)
{
	int cpu = known ? bound_cpu(tid) : -1;

	if (!known)
		lose("%s: whether the thread that polls it is bound to a CPU (IORING_SETUP_SQ_AFF)",
		     file_name(f));
	if (cpu >= 0) {
		msg->setup |= IORING_SETUP_SQ_AFF;
		msg->poll_cpu = (uint32_t)cpu;
	}
}

static void put_idle(const struct dump *d, const struct file *f, Img__IoUring *msg)
{
	const struct ring_poll *p = poll_of(d, f);

	if (!msg->poll_idle)
		msg->poll_idle = p ? p->idle_ms : 0;
	if (!msg->poll_idle)
		lose("%s: how long its thread polls before it sleeps (sq_thread_idle), which could "
		     "not be seen; it will be the kernel's usual second",
		     file_name(f));
}

const char *ring_poll_put(struct dump *d, const struct file *f, const char *text, Img__IoUring *msg)
{
	long thread = number_of(text, "SqThread");
	pid_t tid = 0;
	size_t n;

	if (!file_alone(d, f))
		return "a thread of the kernel polls it (IORING_SETUP_SQPOLL), and more than one "
		       "process has it open";
	if (is_attached(d, f, thread))
		return "it shares the thread that polls it with another one "
		       "(IORING_SETUP_ATTACH_WQ)";
	n = polling_threads(f->task, thread, &tid);
	if (!n)
		return "the thread that polls it (IORING_SETUP_SQPOLL) is of a process that has it "
		       "open no more";
	msg->setup |= IORING_SETUP_SQPOLL;
	put_cpu(f, tid, n == 1 || tid == thread, msg);
	put_idle(d, f, msg);
	return NULL;
}
