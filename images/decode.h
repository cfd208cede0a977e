/*
 * The decoders of untrusted bytes: they take a buffer, so that they can be
 * fuzzed and serve a stream as well. Each explains what is wrong, naming
 * IM->dir and the file. IM is emptied by images_free() in any case.
 */
#pragma once

#include "images/images.h"

#define DAMAGED "the copy is damaged, restore from another one"

/* A zeroed struct images with its heap; DIR is for messages. */
int images_new(const char *dir, struct images **ret);

/* The content of manifest.img: fills im->manifest. */
int manifest_decode(struct images *im, const uint8_t *data, size_t size);

/* The content of state.img: fills im->records, sorted; owners are checked. */
int state_decode(struct images *im, const uint8_t *data, size_t size);

/* Every record belongs to something that the checkpoint holds, see owners.c. */
int owners_check(const struct images *im);
