/*
 * A tree whose memory is still being brought (restore --lazy): what is not there yet cannot be told from
 * what is zero, so a dump waits until all is there.
 */
#pragma once

#include "dump/dump.h"

/* Before the freeze, T's mappings being known: where somebody brings them, wait, and read them again. Explained. */
int lazy_await(struct dump *d, struct task *t);
