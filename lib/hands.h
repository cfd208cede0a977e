/*
 * Threads that do the same work at the same time, each always with its own part of it:
 * what ptrace(2) may do with a thread, only the one who seized it may.
 *
 * The caller is hand 0. NULL stands for him alone: then everything here is a call.
 */
#pragma once

struct hands;

/* N hands in all, the caller among them. 0 or -errno. */
int hands_begin(unsigned n, struct hands **ret);

/* What they have seized is let go by the kernel now, as it stands. NULL is fine. */
void hands_end(struct hands *h);

unsigned hands_count(const struct hands *h);

/*
 * FN(ARG, number of the hand) in all of them; 0 when all have come back, or the first error.
 * Once the deadline (lib/deadline.h) has passed, their waits return EINTR as those of the caller do.
 */
int hands_all(struct hands *h, int (*fn)(void *arg, unsigned hand), void *arg);

/*
 * The same in two halves, for the caller has something else to do: FN begins in all but
 * hand 0, and hands_await() waits. What is given in between begins when that is done, and who awaits it learns of
 * errors of both.
 */
void hands_give(struct hands *h, int (*fn)(void *arg, unsigned hand), void *arg);
int hands_await(struct hands *h);
