/*
 * Many processes of one tree mostly are what their parent was: they have the same files open, and nobody
 * changes mappings between the look and the freeze. Where the kernel tells of all processes at once
 * (lib/proc_facts.h), what is so is not read of each again.
 */
#pragma once

#include "dump/dump.h"

/*
 * All tasks are known, with their threads, and none is looked at yet. Nothing for trees of few, unless they are
 * large and stand still for a moment alone.
 */
void together_look(struct dump *d);
/* T, of a small tree, turns out to have so many mappings that it pays for it alone: they are looked at next. */
void together_look_at(struct dump *d, struct task *t);

/* All stand still. After that the kernel is asked for both lists, which may be done at once. */
void together_frozen(struct dump *d);
void together_read_processes(struct dump *d);
void together_read_opens(struct dump *d);

/* Is every process told of? */
bool together_tells(const struct dump *d);

/* Are t->vmas, with flags, those that the frozen T has? Names of files may be others by now. */
bool together_same_maps(const struct dump *d, struct task *t);

/*
 * What is in /proc/PID of a frozen process, and depends on nothing but facts: where another has the same it is
 * what was read of that.
 */
enum told { TOLD_AUXV, TOLD_OOM, TOLD_COREDUMP, TOLD_CGROUP, TOLD_EXE, TOLD_CWD, TOLD_ROOT };

/* Where a link leads. Does its path, too, by now? */
struct told_place {
	struct stat st;
	bool leads;
};

/* The text, as file_read_record() reads it; the link, and its place, unless that is NULL. -errno. */
ssize_t together_read(struct dump *d, const struct task *t, enum told what, char **ret);
int together_link(struct dump *d, const struct task *t, enum told what, char **ret,
                  struct told_place *ret_place);

/* A frozen T is known to have no POSIX timers. */
bool together_no_timers(const struct task *t);

/* Its resource limits, the soft and the hard one of each, while it is frozen; or NULL. */
const uint64_t *together_limits(const struct dump *d, const struct task *t);

/*
 * The descriptors of a frozen T are told of, by number. The id of the file that one of them is open on, known by
 * another descriptor, and of no locks; else 0. It becomes known by together_add_file(), until files_done().
 */
static inline bool together_tells_files(const struct task *t)
{
	return t->n_opens > 0;
}
bool together_is_open(const struct task *t, int fd);
size_t together_file(const struct dump *d, const struct open_fact *open);
int together_add_file(struct dump *d, const struct task *t, int fd, size_t id);
void together_forget_files(struct dump *d);

void together_done(struct dump *d);
