/* Scope-bound release, explicit hand-over. */
#pragma once

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* A local marked auto_x is released when it leaves scope, on every path. */
#define auto_(fn)  __attribute__((cleanup(fn)))
#define auto_close auto_(closep)
#define auto_free  auto_(freep)
#define auto_file  auto_(fclosep)
#define auto_dir   auto_(closedirp)

static inline void closep(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static inline void freep(void *p)
{
	free(*(void **)p);
}

static inline void fclosep(FILE **f)
{
	if (*f)
		fclose(*f);
}

static inline void closedirp(DIR **d)
{
	if (*d)
		closedir(*d);
}

/* Hand a descriptor to the caller: the local forgets it, so it survives. */
static inline int take_fd(int *fd)
{
	int taken = *fd;

	*fd = -1;
	return taken;
}

/* The same for a pointer of any type. */
#define take_ptr(p)                         \
	({                                  \
		__typeof__(p) taken_ = (p); \
		(p) = NULL;                 \
		taken_;                     \
	})
