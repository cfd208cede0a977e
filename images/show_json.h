/* The JSON half of show.c. */
#pragma once

#include <stdio.h>

#include "images/images.h"

/*
 * {"manifest": {...}, "records": [{"kind": "task", "owner": 41, "offset": 16, "message": {...}}]}
 *
 * Fields bear their proto names, 64-bit numbers are numbers, bytes are hex
 * strings in full, a string that is not UTF-8 has each odd byte as \u00XX.
 */
int show_json(FILE *out, const struct images *im);
