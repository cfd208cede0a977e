/*
 * What crtool is started with is its caller's: limits, signals, descriptors. What none of it could work with
 * is put right first, so that no room has to think of it.
 *
 *   - 0, 1 and 2 are open: else the first files would have these numbers, and messages would be written into them
 *   - no signal is blocked, and none of those that crtool waits for is ignored; a file that grows too large
 *     (RLIMIT_FSIZE) and a reader that is gone are errors like others, not the end
 *   - as many descriptors as the hard limit lets it have
 *   - the stacks of threads are of a size that is known
 */
#pragma once

/* -errno, explained: it cannot be put right. */
int caller_settle(void);

/* FN(ARGC, ARGV), on a stack of its own if the limit is too small for what crtool needs. Its result, or -errno. */
int caller_on_stack(int (*fn)(int argc, char **argv), int argc, char **argv);
