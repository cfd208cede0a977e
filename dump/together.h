/*
 * Many processes of one tree mostly are what their parent was: they have the same files open, and nobody
 * changes mappings between the look and the freeze. Where the kernel tells of all processes at once
 * (lib/proc_facts.h), what is so is not read of each again.
 */
#pragma once

#include "dump/dump.h"

/* All tasks are known, and none is looked at yet. For trees of many processes. */
void together_look(struct dump *d);

/* All stand still. */
void together_frozen(struct dump *d);

/* Are t->vmas, with flags, those that the frozen T has? Names of files may be others by now. */
bool together_same_maps(const struct dump *d, struct task *t);

/*
 * The descriptors of a frozen T are told of, by number. The id of the file that one of them is open on, known by
 * another descriptor, and of no locks; else 0. It becomes known by together_add_file(), until files_done().
 */
static inline bool together_tells_files(const struct task *t)
{
	return t->n_opens > 0;
}
size_t together_file(const struct dump *d, const struct open_fact *open);
int together_add_file(struct dump *d, const struct task *t, int fd, size_t id);
void together_forget_files(struct dump *d);

void together_done(struct dump *d);
