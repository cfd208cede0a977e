/* The terminal of a shell job: it is one, its modes are kept, output arrives. */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "zdtm.h"

static volatile sig_atomic_t resized;

static void handler(int sig)
{
	resized++;
}

int main(void)
{
	int tty = open("/dev/tty", O_RDWR | O_NONBLOCK), other = open(ttyname(0), O_RDONLY);
	struct termios tio;
	struct winsize ws;

	check(tty >= 0 && other >= 0);
	check(signal(SIGWINCH, handler) != SIG_ERR);
	check(tcgetattr(0, &tio) == 0);
	tio.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
	tio.c_cc[VMIN] = 7;
	check(tcsetattr(0, TCSANOW, &tio) == 0);
	resized = 0;

	zdtm_parked();
	while (!zdtm_released())
		poll(NULL, 0, 2); /* the window's signal may interrupt it */

	check(isatty(0) && isatty(1) && isatty(other));
	check(fcntl(tty, F_GETFL) & O_NONBLOCK);
	tio = (struct termios){};
	check(tcgetattr(tty, &tio) == 0);
	check(!(tio.c_lflag & ICANON) && !(tio.c_lflag & ECHO) && tio.c_cc[VMIN] == 7);
	check(ioctl(other, TIOCGWINSZ, &ws) == 0 && ws.ws_row == 33 && ws.ws_col == 99);
	check(resized == 1);
	check(write(1, "still here\n", 11) == 11);
	return zdtm_pass();
}
