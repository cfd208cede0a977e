/* Signals that are blocked, of those that nobody minds: none is there that nobody has sent. */
#include <signal.h>

#include "zdtm.h"

static const int quiet[] = { SIGURG, SIGWINCH, SIGCHLD };

int main(void)
{
	sigset_t set;

	sigemptyset(&set);
	for (int i = 0; i < 3; i++)
		sigaddset(&set, quiet[i]);
	check(sigprocmask(SIG_BLOCK, &set, NULL) == 0);

	zdtm_park();

	check(sigpending(&set) == 0);
	for (int i = 0; i < 3; i++)
		check(!sigismember(&set, quiet[i]));
	return zdtm_pass();
}
