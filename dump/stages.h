/* The stages of a dump, in the order in which dump.c calls them, and what they are made of. 0 or -errno, explained. */
#pragma once

#include "dump/dump.h"

/* netns.c: crtool goes where the root lives, if that has a name; the record of it, if it did. Explained. */
int netns_follow(struct dump *d);
int netns_put(struct dump *d);

int look_tree(struct dump *d);       /* look.c: find tasks; refuse what is in sight */
int freeze_tree(struct dump *d);     /* freeze.c: every thread stopped, none missed */
int clocks_prepare(struct dump *d);  /* seal.c: what they are relative to, before the freeze */
int note_clocks(struct dump *d);     /* seal.c: from which clocks go on */
int gather_tasks(struct dump *d);    /* gather.c: status, maps, fds while frozen */
int gather_statuses(struct dump *d); /* gather.c: those of all threads; before, of leaders alone */
int ask_prepare(struct dump *d);     /* ask.c: scripts of threads, before the freeze */
int ask_tasks(struct dump *d);       /* ask.c: inject, run the scripts, cure */
/* ask_check.c: TH can be made to make calls: it would die of those that its filters forbid. */
int check_filters(const struct thread *th);
/* ask_check.c: those of T that are asked may use the memory of their scripts (pkeys(7)). */
int check_keys(struct task *t);
/* ask_check.c: no thread of T is still on its way out of a dump whose crtool was killed, which needs the old door. */
int check_door_is_free(struct dump *d, struct task *t);
/* ask_check.c: the scripts of T have come to their ends, each with the answers that it must have. */
int check_scripts(struct dump *d, struct task *t);
/* peek.c: what tracers see of TH, when its script has run. In the hand that traces it. */
int peek_thread(struct dump *d, struct thread *th);
int ask_hands(struct dump *d);     /* ask.c: they are done with it, which ask_tasks() began */
int take_answers(struct dump *d);  /* take.c: records of the aspects that look at what is frozen */
int take_late(struct dump *d);     /* take.c: records of all others, of tasks and threads */
int dump_files(struct dump *d);    /* files.c: records of all open files */
int pages_prepare(struct dump *d); /* pages.c: memory to hold them, before the freeze */
int dump_pages(struct dump *d);    /* pages.c: pages of all tasks, held or in page files */
int store_pages(struct dump *d);   /* pages.c: all that was held is in page files */
/* pages.c: have d->pages; where helpers write (dump/writers.h), only when it is needed. */
int pages_first(struct dump *d);
void pages_free(struct pages *p);
int dump_copies(struct dump *d); /* pages.c: the rest of them, with --snapshot */
int resume_tree(struct dump *d); /* release.c: with -R the tree runs on */
int seal_images(struct dump *d); /* seal.c: manifest */
int hand_over(struct dump *d);   /* release.c: to a migration */
int end_tree(struct dump *d);    /* release.c: kill, or leave stopped */
int kill_tree(struct dump *d);   /* kill.c: all of it; it is dying when that returns */

/* Let everything run on as if nothing had been (release.c). Idempotent. */
void unfreeze_tree(struct dump *d);

/* R, for what is in the way only for a moment, and over when the tree runs on: the dump begins anew, some times. */
static inline int passing(struct dump *d, int r)
{
	d->passing = true;
	return r;
}
