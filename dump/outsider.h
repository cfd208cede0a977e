/*
 * Somebody of whom it is known that he is in no Landlock domain: a child of crtool that has ended
 * with the credentials of a task, but no capability, and that nobody has waited for.
 *
 * Who is in a domain, whatever that forbids, has no access (ptrace(2)) to those outside of it. So a task that
 * has access to him is in none. He is dead, for a zombie has credentials and nothing else that
 * the task, or its user, could do anything with.
 */
#pragma once

#include "dump/dump.h"

/* Before the freeze: let there be one for T, t->outsider. Where there can be none, there is none. 0 or -ENOMEM. */
int outsider_prepare(struct dump *d, struct task *t);

/* Idempotent. */
void outsiders_done(struct dump *d);
