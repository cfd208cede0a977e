/*
 * Increments: a checkpoint may name a parent, which has the pages that did not
 * change since. All page files of a chain form one list: those of the
 * checkpoint, then those of its parent, of its parent's parent and so on; who
 * reads pages needs to know no more.
 */
#pragma once

#include "images/images.h"
#include "images/verify.h"

/*
 * Open all parents of IM, with what A has to say of them, and put their page
 * files into im->pages; records of pages then count them there. Each must be
 * there, be the very checkpoint that was the parent, and be whole.
 */
int chain_load(struct images *im, const struct access *a);

/* The same with PARENT, which has its own, or NULL: IM has it from here on. On failure it is the caller's. */
int chain_join(struct images *im, struct images *parent);

/* Manifest and page files of IM alone, as A says; its records if STATE (read.c). */
int images_load(struct images *im, struct access *a, bool state);

/* The fields of a chain in the manifest are as a dump writes them. -EBADMSG, explained. */
int chain_check(const struct images *im);
