/*
 * Victims: programs that set something up, are dumped and restored while they
 * park, and then check that nothing changed.
 *
 *	int main(void)
 *	{
 *		... set up ...
 *		zdtm_park(); // dumped and restored here
 *		... check(what must still be true) ...
 *		return zdtm_pass();
 *	}
 *
 * A victim talks to its test through files in the directory that it was
 * started in: "parked" and "result" are its own, "release" is the test's.
 * Nothing here uses signals, threads or a descriptor that stays open.
 */
#pragma once

#include <stdbool.h>

/* End the victim unless COND holds: file, line, condition and errno go to stderr. */
#define check(cond)                                           \
	do {                                                  \
		if (!(cond))                                  \
			zdtm_fail(__FILE__, __LINE__, #cond); \
	} while (0)

void zdtm_fail(const char *file, int line, const char *cond) __attribute__((noreturn));

/* Say that everything is set up, then wait for the release in short sleeps. */
void zdtm_park(void);

/* The two halves of zdtm_park(), for victims that wait in a system call of their own. */
void zdtm_parked(void);
bool zdtm_released(void);

/* Sleep 2 ms. */
void zdtm_nap(void);

/* Say that all checks passed; returns the exit code of main. */
int zdtm_pass(void);
