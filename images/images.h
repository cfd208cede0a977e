/*
 * A checkpoint on disk: DIR/state.img holds the records, DIR/pages-N.img raw
 * pages, DIR/manifest.img, written last and renamed into place, names them all
 * with sizes and checksums (doc/FORMAT.md). A directory without a manifest is
 * not a checkpoint.
 *
 * Everything returns 0 or -errno, explained with fail() except -ENOMEM.
 */
#pragma once

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "images/keys.h"
#include "lib/array.h"
#include "lib/codec.h"
#include "proto/manifest.pb-c.h"

/* One kind of record, by its line in kinds.def. */
enum record_kind {
#define RECORD(num, name)  KIND_##name = (num),
#define FD_KIND(num, name) KIND_##name = (num),
#define ASPECT(num, name)  KIND_##name = (num),
#include "images/kinds.def"
#undef RECORD
#undef FD_KIND
#undef ASPECT
	KIND_LIMIT = 1024
};

/* Where a kind stands in kinds.def. */
enum kind_family { FAMILY_NONE, FAMILY_RECORD, FAMILY_FD, FAMILY_ASPECT };
enum kind_family kind_family(uint32_t kind);

/* The message descriptor and the name of a record kind; NULL if there is none of that number. */
const ProtobufCMessageDescriptor *kind_descriptor(uint32_t kind);
const char *kind_name(uint32_t kind);

/* ---- writing ---- */

struct image_writer;
struct images;

/*
 * Start a checkpoint in the directory DIRFD (kept open by the caller until
 * image_writer_free), files of MODE (0600). The directory must be empty:
 * -EEXIST when a checkpoint is there already, -ENOTEMPTY when anything else is.
 * KEYS (or NULL) sign and encrypt it; the caller's, until it is sealed.
 */
int image_writer_new(int dirfd, unsigned mode, const struct image_keys *keys,
                     struct image_writer **ret);

/*
 * The same as a stream to FD, the caller's (images/stream.h); its reader must take
 * something every STALL_MS. When it is sealed, the reader has all of it.
 */
int image_writer_stream(int fd, unsigned stall_ms, const struct image_keys *keys,
                        struct image_writer **ret);

/* Remove everything that was written, unless sealed; free. NULL is fine. */
void image_writer_free(struct image_writer *w);

/*
 * Compress the page files that are added from now on. -ENOTSUP, explained: the
 * library is not there.
 */
int image_compress(struct image_writer *w, const struct compression *how);

/*
 * Remember the records, for image_kept(). To be called before anything is written.
 */
void image_keep(struct image_writer *w);

/*
 * Append one record; MSG is packed at once and remains the caller's. OWNER is
 * the tid, pid or file id that it belongs to.
 */
int image_put(struct image_writer *w, enum record_kind kind, uint32_t owner,
              const ProtobufCMessage *msg);

/*
 * A page file for one copying thread: whole pages one after the other, from
 * offset 0 on, without holes. Files are numbered from 0 and belong to the
 * writer. Several threads may write at once, each to its own file; everything
 * else here is for one thread.
 */
struct pages_file;
int image_add_pages(struct image_writer *w, struct pages_file **ret);
uint32_t pages_file_index(const struct pages_file *p);
uint64_t pages_file_size(const struct pages_file *p);
int pages_file_write(struct pages_file *p, const void *data, size_t size);

/*
 * Somebody else writes an empty one, from its start to its end: its descriptor, which stays the file's; -1: what is
 * written to it is no matter of bytes alone (packed, encrypted, signed, a stream). pages_file_grow() tells how much was
 * written; when all is, HASH is that of file_hash_digest().
 */
int pages_file_lend(struct pages_file *p);
int pages_file_returned(struct pages_file *p, uint64_t hash);
/* R, that writing to it has failed with, explained. */
int pages_file_fail(const struct pages_file *p, int r);

/* One of pages that are not written: they come afterwards, by another way. It only grows. */
int image_add_later(struct image_writer *w, struct pages_file **ret);
void pages_file_grow(struct pages_file *p, uint64_t size);

/*
 * Write the manifest with the list of files (whatever MANIFEST has there) and
 * rename it into place; fsync everything when SYNC. Nothing can be added
 * afterwards. On failure image_writer_free() removes all of it.
 */
int image_seal(struct image_writer *w, const Img__Manifest *manifest, bool sync);

/* Bytes of all files, as they are stored. */
uint64_t image_size(const struct image_writer *w);

/*
 * What image_keep() remembered of the checkpoint that is sealed, as if it had been read
 * (PAGES_FOUND) with PARENT, which is the result's then, or NULL. It has no page files to read: it
 * serves as the parent of an increment.
 */
int image_kept(struct image_writer *w, struct images *parent, struct images **ret);

/* ---- reading ---- */

struct record {
	uint32_t kind;
	uint32_t owner;
	uint64_t offset; /* in state.img */
	ProtobufCMessage *msg;
};

struct images {
	int dirfd;
	Img__Manifest *manifest;
	struct record *records; /* sorted by kind, then owner, then order of writing */
	size_t nrecords;
	int *pages; /* a descriptor per pages file, by index: of the file, or of what is in it */
	/* by index: the size of a pages file that is not encrypted (any more) ... */
	uint64_t *content;
	/* ... and of the pages in it, which may be compressed; NULL: as the manifest says */
	uint64_t *plain;
	size_t npages;         /* with those of the parents (images/chain.h) ... */
	size_t own_pages;      /* ... which come after these */
	struct images *parent; /* its manifest and page files; NULL: it has none, or PAGES_LEFT */
	bool unverified;       /* that is still to be done ... */
	struct piece_sum *
		*sums; /* ... but for what is made already, by index (pieces.h); NULL: nothing is */
	bool *own;     /* by index: the descriptor is of memory that nobody else has ... */
	struct wanted *wanted; /* ... and who wants what of it (spend.h); NULL: not asked */
	struct heap *heap;     /* holds all messages */
	char *dir;             /* for messages */
};

#define CHAIN_ID  16u /* bytes of an id */
#define CHAIN_MAX 64u /* parents of a checkpoint */

/* What is done with the page files. */
enum pages_use {
	PAGES_LEFT,     /* their sizes are right */
	PAGES_FOUND,    /* those of all parents, too (all from here on) */
	PAGES_VERIFIED, /* their content, too */
	PAGES_USED,     /* it can be read from im->pages, as it was verified */
	PAGES_LATER,    /* it can be read, and maybe it is verified later: images_verify_late() */
	PAGES_TRUSTED,  /* it can be read; who wrote it here a moment ago has verified it */
};

/* As the name of a directory: the stream that is read from stdin, once. */
#define IMAGES_STREAM "-"

/* The directory DIR of a checkpoint could not be opened, R: explained, R. */
int images_explain_open(int r, const char *dir);

/*
 * Open DIR, verify every size, checksum and signature, decode every record.
 * Unknown kinds, fields and versions are refused by name, and so is a record
 * whose owner does not exist (doc/FORMAT.md).
 *
 * KEYS (or NULL) decide what is believed: without the signature of its key, or
 * where it can be read without the key that is there to decrypt it, a
 * checkpoint is refused. With either of them, PAGES_USED are copies in sealed
 * memory: whoever can write the files changes them no more.
 * They are copies, too, where they are compressed or come from a stream.
 *
 * -EBADMSG for a bad checkpoint, -ENOENT when there is none, -EACCES when it
 * may not be read. NULL is fine for images_free().
 */
int images_read(const char *dir, enum pages_use use, const struct image_keys *keys,
                struct images **ret);
void images_free(struct images *im);

/* With PAGES_LATER: what was not verified is now. -EBADMSG, explained. */
int images_verify_late(struct images *im);
/* Before that: all but what their readers make the checksums of while they read (pieces.h). */
int images_verify_but(struct images *im);

/* Does what is in page file FILE come afterwards? Only PAGES_TRUSTED can have such a one. */
bool images_is_later(const struct images *im, size_t file);

/* How much there is to be read in page file FILE. */
uint64_t images_pages_size(const struct images *im, size_t file);

/* The records of a kind (of one owner): a slice of im->records. */
const struct record *images_kind(const struct images *im, enum record_kind kind, size_t *ret_n);
const struct record *images_find(const struct images *im, enum record_kind kind, uint32_t owner,
                                 size_t *ret_n);
/* The only record of that kind and owner, or NULL when there is none. */
const ProtobufCMessage *images_one(const struct images *im, enum record_kind kind, uint32_t owner);
