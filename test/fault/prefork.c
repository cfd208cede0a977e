/*
 * A server as many are: a master, and workers that share its listening socket and a page of counters; each
 * serves a connection that the master keeps to it. All have timers of every kind that go on, a pattern in their
 * memory, and at the end the mappings and descriptors that they began with; no worker has ended before.
 */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "maps.h"
#include "zdtm.h"

#define WORKERS 4
#define PATTERN (256u << 10)
#define WORDS   (PATTERN / sizeof(uint64_t))
#define PERIOD  5000000 /* ns */

/* One for each, shared by all; behind them that of the master, which is ready when the workers may end. */
static struct score {
	atomic_ulong served, ticks;
	atomic_int ready;
} * scores;

static struct maps before, after;
static struct life {
	int fds;
	sigset_t mask;
	uint64_t *pattern;
	timer_t timer;
} life;
static volatile sig_atomic_t expired, alarms, children;

static void count(int sig)
{
	if (sig == SIGRTMIN)
		expired++;
	else if (sig == SIGALRM)
		alarms++;
	else
		children++;
}

static int count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int n = 0;

	check(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

static uint64_t word(size_t i)
{
	return (i + (uint64_t)getpid()) * 0x9e3779b97f4a7c15u;
}

/* After a fork there are none. */
static void timers_start(void)
{
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN };
	const struct itimerspec period = { { 0, PERIOD }, { 0, PERIOD } };
	const struct itimerval alarm_period = { { 0, 7000 }, { 0, 7000 } };

	check(timer_create(CLOCK_MONOTONIC, &event, &life.timer) == 0);
	check(timer_settime(life.timer, 0, &period, NULL) == 0);
	check(setitimer(ITIMER_REAL, &alarm_period, NULL) == 0);
}

static void timers_check(void)
{
	struct itimerspec period;
	struct itimerval alarm_period;
	int a = alarms, e = expired;

	check(timer_gettime(life.timer, &period) == 0);
	check(period.it_interval.tv_nsec == PERIOD && period.it_value.tv_nsec <= PERIOD);
	check(getitimer(ITIMER_REAL, &alarm_period) == 0);
	check(alarm_period.it_interval.tv_usec == 7000);
	while (alarms == a || expired == e)
		usleep(1000);
}

static void life_begin(void)
{
	timers_start();
	life.pattern =
		mmap(NULL, PATTERN, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	check(life.pattern != MAP_FAILED);
	for (size_t i = 0; i < WORDS; i++)
		life.pattern[i] = word(i);
	check(sigprocmask(SIG_SETMASK, NULL, &life.mask) == 0);
	life.fds = count_fds();
	maps_take(&before);
}

static void life_check(void)
{
	sigset_t mask;

	maps_take(&after);
	check(maps_same(&before, &after));
	check(count_fds() == life.fds);
	check(sigprocmask(SIG_SETMASK, NULL, &mask) == 0);
	check(memcmp(&mask, &life.mask, 8) == 0);
	for (size_t i = 0; i < WORDS; i++)
		check(life.pattern[i] == word(i));
	timers_check();
	check(children == 0);
}

static int epoll_of(const int *fds, int n)
{
	int epoll = epoll_create1(EPOLL_CLOEXEC);

	check(epoll >= 0);
	for (int i = 0; i < n; i++)
		check(epoll_ctl(epoll, EPOLL_CTL_ADD, fds[i],
		                &(struct epoll_event){ .events = EPOLLIN, .data.fd = fds[i] }) ==
		      0);
	return epoll;
}

static void serve(struct score *s, int fd)
{
	char c;

	if (read(fd, &c, 1) == 1) {
		check(write(fd, &c, 1) == 1);
		s->served++;
	}
}

static void tick(struct score *s, int fd)
{
	uint64_t n = 0;

	if (read(fd, &n, sizeof(n)) == sizeof(n))
		s->ticks += n;
}

static _Noreturn void work(struct score *s, int listener)
{
	const struct itimerspec period = { { 0, PERIOD }, { 0, PERIOD } };
	int timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	int peer = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	int fds[] = { timer, peer, listener }, epoll = epoll_of(fds, 3);

	check(timer >= 0 && peer >= 0 && timerfd_settime(timer, 0, &period, NULL) == 0);
	life_begin();
	s->ready = 1;
	while (!scores[WORKERS].ready) {
		struct epoll_event ev;
		int n = epoll_wait(epoll, &ev, 1, 100);

		check(n >= 0 || errno == EINTR);
		if (n == 1 && ev.data.fd == timer)
			tick(s, timer);
		else if (n == 1)
			serve(s, ev.data.fd);
	}
	life_check();
	_exit(0);
}

static int listen_here(struct sockaddr_in *at)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	*at = (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	check(fd >= 0 && bind(fd, (struct sockaddr *)at, sizeof(*at)) == 0 && listen(fd, 8) == 0);
	check(getsockname(fd, (struct sockaddr *)at, &(socklen_t){ sizeof(*at) }) == 0);
	return fd;
}

/* The worker that is the next to accept it answers. */
static int connect_to(const struct sockaddr_in *at)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	check(fd >= 0 && connect(fd, (const struct sockaddr *)at, sizeof(*at)) == 0);
	return fd;
}

static void ask(int fd)
{
	char c = 'x';

	check(write(fd, &c, 1) == 1);
	c = 0;
	check(read(fd, &c, 1) == 1 && c == 'x');
}

static void handle_signals(void)
{
	static const int signals[] = { SIGALRM, SIGCHLD };
	struct sigaction sa = { .sa_handler = count, .sa_flags = SA_RESTART };

	check(sigaction(SIGRTMIN, &sa, NULL) == 0);
	for (int i = 0; i < 2; i++)
		check(sigaction(signals[i], &sa, NULL) == 0);
}

static void end(const pid_t *workers)
{
	int status;

	signal(SIGCHLD, SIG_DFL);
	scores[WORKERS].ready = 1;
	for (int i = 0; i < WORKERS; i++)
		check(waitpid(workers[i], &status, 0) == workers[i] && status == 0);
}

int main(void)
{
	struct sockaddr_in at;
	int listener = listen_here(&at), peers[WORKERS];
	pid_t workers[WORKERS];

	check(nice(10) >= 0);
	scores = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	check(scores != MAP_FAILED);
	handle_signals();
	for (int i = 0; i < WORKERS; i++) {
		workers[i] = fork();
		check(workers[i] >= 0);
		if (!workers[i]) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			work(&scores[i], listener);
		}
		peers[i] = connect_to(&at);
		while (!scores[i].ready)
			zdtm_nap();
	}
	life_begin();
	zdtm_parked();
	while (!zdtm_released()) {
		for (int i = 0; i < WORKERS; i++)
			ask(peers[i]);
		usleep(5000);
	}
	life_check();
	end(workers);
	for (int i = 0; i < WORKERS; i++)
		check(scores[i].served > 0 && scores[i].ticks > 0);
	return zdtm_pass();
}
