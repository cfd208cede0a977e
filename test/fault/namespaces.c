/*
 * Somebody who is not where his process is, or his children will not be.
 *
 *	namespaces net|ipc|uts|cgroup    a thread has gone to a namespace of its own
 *	namespaces pid                   and there is one for the children that it will have
 *	namespaces children              the same of the main thread
 */
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "zdtm.h"

static const struct {
	const char *name;
	int flag;
} all[] = {
	{ "net", CLONE_NEWNET },       { "ipc", CLONE_NEWIPC }, { "uts", CLONE_NEWUTS },
	{ "cgroup", CLONE_NEWCGROUP }, { "pid", CLONE_NEWPID }, { "children", CLONE_NEWPID },
};

static pthread_barrier_t ready;

static void leave(const char *what)
{
	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
		if (!strcmp(all[i].name, what) && unshare(all[i].flag) < 0)
			exit(77);
}

static void *apart(void *what)
{
	if (what)
		leave(what);
	pthread_barrier_wait(&ready);
	while (!zdtm_released())
		zdtm_nap();
	return NULL;
}

/* A second argument: so many threads more. */
int main(int argc, char **argv)
{
	unsigned others = argc > 2 ? (unsigned)atoi(argv[2]) : 0;
	pthread_t th;

	check(argc > 1);
	check(pthread_barrier_init(&ready, NULL, others + 2) == 0);
	for (unsigned i = 0; i < others; i++)
		check(pthread_create(&th, NULL, apart, NULL) == 0);
	if (!strcmp(argv[1], "children"))
		leave(argv[1]);
	else
		check(pthread_create(&th, NULL, apart, argv[1]) == 0);
	if (!strcmp(argv[1], "children"))
		return zdtm_park(), zdtm_pass();
	pthread_barrier_wait(&ready);
	zdtm_park();
	check(pthread_join(th, NULL) == 0);
	return zdtm_pass();
}
