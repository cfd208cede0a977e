/*
 * Two processes that write to some of their memory all the time, a few pages at a time, and know at the end
 * what must be in each of them.
 */
#include <stdint.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <signal.h>
#include <unistd.h>

#include "zdtm.h"

#define PAGES 256
#define WORDS 512 /* of a page */
#define EACH  3

static uint64_t (*pages)[WORDS], counts[PAGES];

static void write_on(unsigned *at)
{
	for (int i = 0; i < EACH; i++) {
		unsigned page = (*at)++ % PAGES;

		counts[page]++;
		pages[page][0] = pages[page][WORDS - 1] = counts[page];
	}
}

static void live(void)
{
	unsigned at = 0;

	while (!zdtm_released()) {
		write_on(&at);
		usleep(1000);
	}
	for (int i = 0; i < PAGES; i++) {
		check(pages[i][0] == counts[i] && pages[i][WORDS - 1] == counts[i]);
		check(pages[i][1] == (uint64_t)i && pages[i][WORDS - 2] == (uint64_t)i);
	}
}

int main(void)
{
	int status;
	pid_t pid;

	pages = mmap(NULL, sizeof(*pages) * PAGES, PROT_READ | PROT_WRITE,
	             MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	check(pages != MAP_FAILED);
	for (int i = 0; i < PAGES; i++)
		pages[i][1] = pages[i][WORDS - 2] = (uint64_t)i;
	pid = fork();
	check(pid >= 0);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		live();
		_exit(0);
	}
	zdtm_parked();
	live();
	check(waitpid(pid, &status, 0) == pid && status == 0);
	return zdtm_pass();
}
