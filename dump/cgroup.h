/* The cgroups of the tree: one record per directory, however many tasks are in it. */
#pragma once

struct dump;

/* Forget what has been noted. Idempotent. */
void cgroups_done(struct dump *d);
