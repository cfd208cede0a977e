/*
 * Unit tests: a program of TEST blocks, without root.
 *
 *	TEST(array_grows)
 *	{
 *		check(array_add(&a));
 *	}
 *
 * Each block runs in a child of its own, so that a crash is one failure. One
 * line per test: "ok name", "ok name # skip reason" or "not ok name".
 */
#pragma once

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

struct unit_test {
	const char *name;
	void (*run)(void);
	struct unit_test *next;
};

static struct unit_test *unit_tests, **unit_last = &unit_tests;

#define TEST(name_)                                                            \
	static void test_##name_(void);                                        \
	__attribute__((constructor)) static void test_add_##name_(void)        \
	{                                                                      \
		static struct unit_test test = { #name_, test_##name_, NULL }; \
		*unit_last = &test;                                            \
		unit_last = &test.next;                                        \
	}                                                                      \
	static void test_##name_(void)

#define UNIT_SKIPPED 77

/* End this test unless COND holds. */
#define check(cond)                                                                              \
	do {                                                                                     \
		if (!(cond)) {                                                                   \
			printf("# %s:%d: check(%s) failed, errno %d (%s)\n", __FILE__, __LINE__, \
			       #cond, errno, strerror(errno));                                   \
			exit(1);                                                                 \
		}                                                                                \
	} while (0)

/* End this test: it cannot be done here. */
#define skip(reason)                           \
	do {                                   \
		printf("# skip %s\n", reason); \
		exit(UNIT_SKIPPED);            \
	} while (0)

int main(void)
{
	int failed = 0;

	setvbuf(stdout, NULL, _IOLBF, 0);
	for (struct unit_test *t = unit_tests; t; t = t->next) {
		int status = 0;
		pid_t pid = fork();

		if (pid == 0) {
			t->run();
			exit(0);
		}
		if (pid < 0 || waitpid(pid, &status, 0) < 0)
			abort();
		if (WIFSIGNALED(status))
			printf("# killed by signal %d\n", WTERMSIG(status));
		if (WIFEXITED(status) && WEXITSTATUS(status) == UNIT_SKIPPED) {
			printf("ok %s # skip\n", t->name);
		} else {
			printf("%s %s\n", status ? "not ok" : "ok", t->name);
			failed |= status != 0;
		}
	}
	return failed;
}
