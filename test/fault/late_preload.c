/* Preloaded into crtool: its guard, which has seen it die, does nothing more before there is a file LATE_GUARD. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

int poll(struct pollfd *fds, nfds_t n, int timeout)
{
	int r = REAL(poll)(fds, n, timeout);
	const char *late = getenv("LATE_GUARD");
	char name[16] = "";

	prctl(PR_GET_NAME, name);
	while (r > 0 && late && !strcmp(name, "crtool-guard") && access(late, F_OK) < 0)
		usleep(1000);
	return r;
}
