/* Looking at descriptors, for files.c. */
#pragma once

#include "dump/dump.h"

/* One descriptor, looked at. */
struct looked {
	struct file file;
	bool cloexec;
	bool later; /* a socket that is not looked at yet */
	size_t known; /* id of the file, which another descriptor has shown; 0: it is to be looked at */
	int error;
};

struct glance {
	struct dump *d;
	struct task *task;
	int fds, infos;
	ARRAY(struct looked) all;
	size_t next, nlater;
	bool second; /* those that were put off are looked at */
};

#define GLANCE_NONE                     \
	{                               \
		.fds = -1, .infos = -1, \
	}

/* All descriptors of T, by number. What is wrong with one is left in its place. 0 or -errno, explained. */
int glance_at(struct dump *d, struct task *t, struct glance *g);
void glance_done(struct glance *g);

/* The same of F, of which the task and the number are known. -errno. */
int file_look_one(struct dump *d, struct file *f, bool *ret_cloexec);

/* What was read of F. */
void file_done(struct file *f);
