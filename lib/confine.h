/*
 * Who only reads and writes images, which may be anybody's, needs little: no
 * network, no other program, no capability but those for files, and to write
 * in one directory.
 */
#pragma once

/*
 * Give the rest up for good; written to is only below DIR (NULL: nothing is opened to be written to).
 * What this kernel cannot take is kept. 0 or -errno.
 */
int confine(const char *dir);
