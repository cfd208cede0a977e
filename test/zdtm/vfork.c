/*
 * A program that starts others all the time by vfork(2), as shells and runtimes
 * do: a dump finds a moment in which none of them borrows its memory.
 */
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "zdtm.h"

int main(int argc, char **argv)
{
	volatile int started = 0;
	int status;

	if (argc > 1)
		return strcmp(argv[1], "child"); /* one of those that are started */
	for (;;) {
		pid_t pid = vfork();

		if (pid == 0) {
			execl("/proc/self/exe", "vfork", "child", NULL);
			_exit(1);
		}
		check(pid > 0);
		check(waitpid(pid, &status, 0) == pid);
		check(WIFEXITED(status) && WEXITSTATUS(status) == 0);
		if (++started == 3)
			zdtm_parked();
		if (started > 3 && zdtm_released())
			break;
	}
	return zdtm_pass();
}
