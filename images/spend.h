/*
 * Page files that lie in memory of our own (a stream, what was compressed) are
 * given back piece by piece as their pages reach their processes; but not
 * what is wanted more than once.
 */
#pragma once

#include "images/images.h"

/* Pages in pieces of so much are given back. */
#define SPEND_PIECE (UINT64_C(4) << 20)

/* Count who wants what; before the first of the others. -ENOMEM. */
int images_spend_plan(struct images *im);
void images_spend_done(struct images *im);

/* May these bytes of page file FILE go, once they have been read? */
bool images_may_spend(const struct images *im, size_t file, uint64_t offset, uint64_t size);

/* They were read: they go, if they may. */
void images_spend(const struct images *im, size_t file, uint64_t offset, uint64_t size);
