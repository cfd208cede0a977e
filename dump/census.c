/* readdir(3) of /proc: numbers are processes, d_ino is that of the process's own inode. */
#include "dump/census.h"

#include <errno.h>

#include "lib/cleanup.h"

static int compare(const void *a, const void *b)
{
	const struct inhabitant *x = a, *y = b;

	if (x->pid != y->pid)
		return x->pid < y->pid ? -1 : 1;
	return x->ino < y->ino ? -1 : x->ino > y->ino;
}

int census_take(struct census *c)
{
	auto_dir DIR *dir = opendir("/proc");
	struct dirent *de;

	if (!dir)
		return -errno;
	c->all.n = 0;
	while ((errno = 0, de = readdir(dir))) {
		pid_t pid = (pid_t)strtol(de->d_name, NULL, 10);
		struct inhabitant *who = pid > 0 ? array_add(&c->all) : NULL;

		if (pid > 0 && !who)
			return -ENOMEM;
		if (who)
			*who = (struct inhabitant){ pid, de->d_ino };
	}
	if (errno)
		return -errno;
	qsort(c->all.v, c->all.n, sizeof(*c->all.v), compare);
	return 0;
}

bool census_knows(const struct census *c, const struct inhabitant *who)
{
	return c->all.n && bsearch(who, c->all.v, c->all.n, sizeof(*who), compare);
}

void census_done(struct census *c)
{
	array_done(&c->all);
}
