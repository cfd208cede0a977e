/*
 * Holes: pages that were removed from the page files of a parent when its increments had no use
 * for them any more (images/thin.h). The manifest says where they are. For its checksums there
 * are zeros, whatever the file still has there: so it is right before, while and after it is done.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "images/images.h"

#define HOLE_PAGE UINT64_C(4096)

/* The holes of LISTED are in order, and in a file that can have some. -EBADMSG, explained. */
int holes_check(const struct images *im, const Img__Manifest__File *listed, bool encrypted);

/* IM has some itself: it is only good for its increments. -EBADMSG, explained. */
int holes_refuse(const struct images *im);

/* The N bytes of BUF are those at AT of the file. */
void holes_blank(const Img__Manifest__File *listed, uint64_t at, uint8_t *buf, size_t n);

/* Is something of [START, END) of page file FILE, of a parent, in a hole? */
bool holes_hit(const struct images *im, size_t file, uint64_t start, uint64_t end);
/* -EBADMSG, explained: so it is. */
int holes_fail(const struct images *im, size_t file);
