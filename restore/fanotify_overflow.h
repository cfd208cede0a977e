/* The overflow event of a fanotify group. */
#pragma once

/*
 * FD, a group without marks, has nothing to be read: then FAN_Q_OVERFLOW and nothing else. Its queue
 * has an end. -errno.
 */
int fanotify_overflow(int fd);
