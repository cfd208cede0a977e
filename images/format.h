/*
 * The bytes of a checkpoint, see doc/FORMAT.md. All numbers are little endian.
 */
#pragma once

#include <stdint.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the image format is little endian and read in place"
#endif

#define FORMAT_VERSION 1

#define STATE_FILE     "state.img"
#define MANIFEST_FILE  "manifest.img"
#define MANIFEST_TMP   "manifest.img.tmp"
#define SIGNATURE_FILE "manifest.sig"
#define SIGNATURE_TMP  "manifest.sig.tmp"
#define PAGES_FILE     "pages-%u.img" /* its index */
#define FILE_NAME_MAX  32             /* of all of these, with the NUL */

#define STATE_MAGIC    "crtlstat"
#define MANIFEST_MAGIC "crtlmani"

/* Bounds for hostile input, far beyond what is real. */
#define MANIFEST_MAX      (16u << 20)                  /* of its message ... */
#define MANIFEST_FILE_MAX (MANIFEST_MAX + (64u << 10)) /* ... with headers, maybe encrypted */
#define STATE_MAX         (UINT64_C(2) << 30)
#define RECORD_MAX        (1u << 30)
#define PAGES_FILES_MAX   1024u
#define PAGES_MAX         (UINT64_C(64) << 40) /* of all page files */

/* state.img starts with this; the records follow. */
struct state_header {
	char magic[8];
	uint32_t version;
	uint32_t reserved; /* 0 */
};

/* Before each record's message, which is padded with zeros to RECORD_ALIGN. */
struct record_header {
	uint32_t kind; /* images/kinds.def */
	uint32_t size; /* of the message, without padding */
	uint32_t owner;
	uint32_t reserved; /* 0 */
};
#define RECORD_ALIGN 8u

/* manifest.img: this, then the message. */
struct manifest_header {
	char magic[8];
	uint32_t version;
	uint32_t size; /* of the message */
	uint64_t hash; /* XXH3 64 of the message */
};

static inline uint64_t record_padded(uint64_t size)
{
	return (size + RECORD_ALIGN - 1) & ~(uint64_t)(RECORD_ALIGN - 1);
}
