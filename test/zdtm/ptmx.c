/*
 * Pseudo terminals with both sides in the tree; what is about them is the
 * argument.
 */
#include <asm/termbits.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "zdtm.h"

static int master, slave, index_before;

static int number(int fd)
{
	int n = -1;

	check(ioctl(fd, TIOCGPTN, &n) == 0);
	return n;
}

static int state(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN | POLLOUT | POLLPRI };

	check(poll(&p, 1, 0) >= 0);
	return p.revents;
}

static void slave_open(void)
{
	int off = 0;

	check(ioctl(master, TIOCSPTLCK, &off) == 0);
	slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY);
	check(slave >= 0);
}

static void modes(tcflag_t lflag_off)
{
	struct termios2 t;

	check(ioctl(slave, TCGETS2, &t) == 0);
	if (lflag_off & ICANON)
		t.c_iflag &= ~(tcflag_t)IXON;
	t.c_lflag &= ~lflag_off;
	check(ioctl(slave, TCSETS2, &t) == 0);
}

static void say(int fd, const char *text)
{
	check(write(fd, text, strlen(text)) == (ssize_t)strlen(text));
}

/* The next read(2) gives just this. */
static void hear(int fd, const char *text)
{
	char buf[256];

	check(state(fd) & POLLIN);
	check(read(fd, buf, sizeof(buf)) == (ssize_t)strlen(text));
	check(!memcmp(buf, text, strlen(text)));
}

static bool silent(int fd)
{
	return !(state(fd) & POLLIN);
}

static void nap_until(int fd, int want, int events)
{
	for (int i = 0; i < 5000 && (state(fd) & want) != events; i++)
		zdtm_nap();
	check((state(fd) & want) == events);
}

/* ---- all that can be set ---- */

static void modes_test(void)
{
	struct winsize ws = { 33, 99, 640, 480 }, ws_is;
	struct termios2 t, t_is;
	struct termios lock = { .c_lflag = ECHO }, lock_is;
	struct stat st;
	int on = 1, is;

	slave_open();
	check(ioctl(slave, TCGETS2, &t) == 0);
	t.c_lflag &= ~(tcflag_t)(ECHO | ICANON);
	t.c_iflag |= IUTF8;
	t.c_cc[VMIN] = 9;
	t.c_cc[VINTR] = 7;
	t.c_cflag = (t.c_cflag & ~(tcflag_t)CBAUD) | BOTHER;
	t.c_ospeed = t.c_ispeed = 12345;
	check(ioctl(slave, TCSETS2, &t) == 0);
	check(ioctl(slave, TCGETS2, &t) == 0);
	check(ioctl(slave, TIOCSWINSZ, &ws) == 0);
	check(ioctl(slave, TIOCSLCKTRMIOS, &lock) == 0);
	check(ioctl(slave, TIOCEXCL) == 0 && ioctl(master, TIOCEXCL) == 0);
	check(ioctl(master, TIOCPKT, &on) == 0);
	check(ioctl(master, TIOCSPTLCK, &on) == 0);
	check(fchown(slave, 1, 5) == 0 && fchmod(slave, 0620) == 0);
	check(fcntl(master, F_SETFL, O_NONBLOCK) == 0);

	zdtm_park();

	check(ioctl(slave, TCGETS2, &t_is) == 0 && !memcmp(&t, &t_is, sizeof(t)));
	check(ioctl(master, TIOCGWINSZ, &ws_is) == 0 && !memcmp(&ws, &ws_is, sizeof(ws)));
	check(ioctl(slave, TIOCGLCKTRMIOS, &lock_is) == 0 && lock_is.c_lflag == ECHO);
	check(ioctl(slave, TIOCGEXCL, &is) == 0 && is);
	check(ioctl(master, TIOCGEXCL, &is) == 0 && is);
	check(ioctl(master, TIOCGPKT, &is) == 0 && is);
	check(ioctl(master, TIOCGPTLCK, &is) == 0 && is);
	check(fstat(slave, &st) == 0 && st.st_uid == 1 && st.st_gid == 5);
	check((st.st_mode & 07777) == 0620);
	check(fcntl(master, F_GETFL) & O_NONBLOCK);
	say(slave, "x");
	nap_until(master, POLLIN, POLLIN);
}

/* ---- what lies unread ---- */

static void lines_test(void)
{
	char echo[256];
	ssize_t n;

	slave_open();
	say(master, "one\ntwo\004");
	say(master, "\004three\nfo");
	nap_until(slave, POLLIN, POLLIN);
	zdtm_nap();

	zdtm_park();

	n = read(master, echo, sizeof(echo));
	check(n == 17 && !memcmp(echo, "one\r\ntwothree\r\nfo", 17));
	hear(slave, "one\n");
	hear(slave, "two");
	hear(slave, "");
	hear(slave, "three\n");
	check(silent(slave));
	say(master, "x\177ur\n");
	nap_until(slave, POLLIN, POLLIN);
	hear(slave, "four\n");
	n = read(master, echo, sizeof(echo));
	check(n == 8 && !memcmp(echo, "x\b \bur\r\n", 8));
}

/* Nothing there: canonical mode must work as on the first day. */
static void idle_test(void)
{
	slave_open();
	modes(ECHO);

	zdtm_park();

	check(silent(slave) && silent(master));
	say(master, "\004");
	nap_until(slave, POLLIN, POLLIN);
	hear(slave, "");
	say(master, "part");
	zdtm_nap();
	check(silent(slave));
	say(master, "ial\n");
	nap_until(slave, POLLIN, POLLIN);
	hear(slave, "partial\n");
}

static void raw_test(void)
{
	static char all[256];

	slave_open();
	modes(ICANON | ECHO | ISIG);
	for (int i = 0; i < 256; i++)
		all[i] = (char)i;
	check(write(master, all, 256) == 256);
	check(write(slave, all, 256) == 256); /* OPOST: a newline becomes two */
	nap_until(slave, POLLIN, POLLIN);
	zdtm_nap();

	zdtm_park();

	check(read(slave, all, 256) == 256);
	for (int i = 0; i < 256; i++)
		check(all[i] == (i == '\r' ? '\n' : (char)i));
	check(silent(slave));
	check(read(master, all, 256) == 256 && all[10] == '\r' && all[11] == '\n');
	hear(master, "\377");
	check(silent(master));
}

/* More than the line discipline holds, in both directions. */
static void full_test(void)
{
	size_t in = 0, out = 0;
	char buf[1000];
	ssize_t n;

	slave_open();
	modes(ICANON | ECHO | ISIG);
	check(fcntl(master, F_SETFL, O_NONBLOCK) == 0 && fcntl(slave, F_SETFL, O_NONBLOCK) == 0);
	for (size_t i = 0; i < sizeof(buf); i++)
		buf[i] = (char)('a' + i % 26);
	while ((n = write(master, buf, 1000)) == 1000 && in < 6000)
		in += 1000;
	while ((n = write(slave, buf, 1000)) == 1000 && out < 6000)
		out += 1000;
	check(in == 6000 && out == 6000);
	zdtm_nap();

	zdtm_park();

	check(fcntl(slave, F_GETFL) & O_NONBLOCK);
	for (in = 0; (n = read(slave, buf, sizeof(buf))) > 0; in += (size_t)n)
		for (ssize_t i = 0; i < n; i++)
			check(buf[i] == (char)('a' + (in + (size_t)i) % 1000 % 26));
	for (out = 0; (n = read(master, buf, sizeof(buf))) > 0; out += (size_t)n)
		for (ssize_t i = 0; i < n; i++)
			check(buf[i] == (char)('a' + (out + (size_t)i) % 1000 % 26));
	dprintf(2, "%zu %zu\n", in, out);
	check(in >= 6000 && out >= 6000 && in <= 7000 && out <= 7000);
}

/* ---- flow ---- */

static void flow_test(bool by_char)
{
	slave_open();
	modes(ECHO);
	say(slave, "before");
	if (by_char)
		say(master, "\023");
	else
		check(ioctl(slave, TCXONC, TCOOFF) == 0);
	nap_until(slave, POLLOUT, 0);

	zdtm_park();

	check(!(state(slave) & POLLOUT));
	hear(master, "before");
	if (by_char)
		check(ioctl(slave, TCXONC, TCOON) == 0);
	else
		say(master, "\021");
	zdtm_nap();
	check(!(state(slave) & POLLOUT));
	if (by_char)
		say(master, "\021");
	else
		check(ioctl(slave, TCXONC, TCOON) == 0);
	nap_until(slave, POLLOUT, POLLOUT);
	say(slave, "after");
	nap_until(master, POLLIN, POLLIN);
	hear(master, "after");
}

/* ---- sides that are closed ---- */

static void unused_test(void)
{
	zdtm_park();

	check(!(state(master) & POLLHUP));
	slave_open();
	say(slave, "hi");
	nap_until(master, POLLIN, POLLIN);
	hear(master, "hi");
}

static void slave_closed_test(void)
{
	char c;

	slave_open();
	say(slave, "last words");
	close(slave);
	nap_until(master, POLLIN, POLLIN);

	zdtm_park();

	check(state(master) & POLLHUP);
	hear(master, "last words");
	check(read(master, &c, 1) < 0 && errno == EIO);
	slave_open();
	check(!(state(master) & POLLHUP));
}

static void hung_up(int fd)
{
	struct termios t;
	char c;

	check(ioctl(fd, TCGETS, &t) < 0 && errno == EIO);
	check(read(fd, &c, 1) == 0);
	if ((fcntl(fd, F_GETFL) & O_ACCMODE) != O_RDONLY)
		check(write(fd, "x", 1) < 0 && errno == EIO);
}

static void master_closed_test(void)
{
	int other, same;

	slave_open();
	other = ioctl(master, TIOCGPTPEER, O_RDONLY | O_NOCTTY);
	same = dup(other);
	check(other >= 0 && same >= 0);
	close(master);
	hung_up(slave);

	zdtm_park();

	hung_up(slave);
	hung_up(same);
	check((fcntl(other, F_GETFL) & O_ACCMODE) == O_RDONLY);
	master = -1;
}

static void hang_up_test(void)
{
	int other, new;

	slave_open();
	other = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY);
	check(other >= 0 && ioctl(slave, TIOCVHANGUP, 0) == 0);
	new = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY);
	check(new >= 0);

	zdtm_park();

	hung_up(slave);
	hung_up(other);
	say(new, "hi");
	nap_until(master, POLLIN, POLLIN);
	hear(master, "hi");
}

/* A number that is not the lowest: others come and go. */
static void number_test(void)
{
	int below[3];

	for (int i = 0; i < 3; i++) {
		below[i] = master;
		master = open("/dev/ptmx", O_RDWR | O_NOCTTY);
		check(master >= 0);
	}
	close(below[0]);
	close(below[2]);
	index_before = number(master);
	slave_open();

	zdtm_park();

	check(number(master) == index_before && number(below[1]) < index_before);
	say(slave, "hi");
	nap_until(master, POLLIN, POLLIN);
}

int main(int argc, char *argv[])
{
	const char *what = argc > 1 ? argv[1] : "modes";

	master = open("/dev/ptmx", O_RDWR | O_NOCTTY);
	check(master >= 0);
	index_before = number(master);
	if (!strcmp(what, "modes"))
		modes_test();
	else if (!strcmp(what, "lines"))
		lines_test();
	else if (!strcmp(what, "idle"))
		idle_test();
	else if (!strcmp(what, "raw"))
		raw_test();
	else if (!strcmp(what, "full"))
		full_test();
	else if (!strcmp(what, "stopped"))
		flow_test(false);
	else if (!strcmp(what, "ctrl-s"))
		flow_test(true);
	else if (!strcmp(what, "unused"))
		unused_test();
	else if (!strcmp(what, "slave-closed"))
		slave_closed_test();
	else if (!strcmp(what, "master-closed"))
		master_closed_test();
	else if (!strcmp(what, "hang-up"))
		hang_up_test();
	else if (!strcmp(what, "number"))
		number_test();
	else
		check(false);
	check(master < 0 || number(master) == index_before);
	return zdtm_pass();
}
