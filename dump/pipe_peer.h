/* Processes outside of the tree that have an end of a pipe, or another file, open. */
#pragma once

#include "dump/dump.h"

/* "task 41 (cat), task 43 (tee)": who has the writing (or reading) end of the pipe or fifo F; false: nobody is seen. */
bool pipe_peers(const struct dump *d, const struct file *f, bool writing, char *buf, size_t size);
/* The same of any file, however it is open: is there anybody? */
bool file_peers(const struct dump *d, const struct file *f, char *buf, size_t size);
