/* What an image says of holes is not believed where it would pass for memory. */
#include "images/holes.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "images/decode.h"
#include "images/format.h"
#include "lib/log.h"

int holes_check(const struct images *im, const Img__Manifest__File *listed, bool encrypted)
{
	size_t n = listed->n_hole_start;
	uint64_t limit = listed->size / HOLE_PAGE, last = 0;
	/* What comes as a stream is whole; what is not stored as it lies in memory has no pages to remove. */
	bool sane = im->dirfd >= 0 && n == listed->n_hole_end && !encrypted && !listed->codec &&
	            !listed->plain && !listed->later && listed != im->manifest->files[0];

	for (size_t i = 0; sane && i < n; i++) {
		sane = listed->hole_start[i] < listed->hole_end[i] &&
		       listed->hole_end[i] <= limit && (!i || listed->hole_start[i] > last);
		last = listed->hole_end[i];
	}
	if (sane)
		return 0;
	return fail(-EBADMSG, "checkpoint %s: " MANIFEST_FILE ": impossible holes in %s; " DAMAGED,
	            im->dir, listed->name);
}

int holes_refuse(const struct images *im)
{
	const Img__Manifest *m = im->manifest;

	for (size_t i = 1; i < m->n_files; i++)
		if (m->files[i]->n_hole_start)
			return fail(-EBADMSG,
			            "checkpoint %s: pages that an increment of it has, too, were "
			            "removed "
			            "(--dedup): it is only good for that; give the last increment",
			            im->dir);
	return 0;
}

/* The first hole that ends behind PAGE. */
static size_t first_behind(const Img__Manifest__File *listed, uint64_t page)
{
	size_t low = 0, high = listed->n_hole_start;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (listed->hole_end[mid] <= page)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

void holes_blank(const Img__Manifest__File *listed, uint64_t at, uint8_t *buf, size_t n)
{
	for (size_t i = first_behind(listed, at / HOLE_PAGE); i < listed->n_hole_start; i++) {
		uint64_t start = listed->hole_start[i] * HOLE_PAGE;
		uint64_t end = listed->hole_end[i] * HOLE_PAGE;

		if (start >= at + n)
			return;
		start = start > at ? start : at;
		end = end < at + n ? end : at + n;
		memset(buf + (start - at), 0, end - start);
	}
}

/* Who has page file FILE of the chain; which of its own it is. */
static const struct images *owner_of(const struct images *im, size_t file, size_t *ret_own)
{
	size_t n = im->manifest->n_files - 1;

	while (im && file >= n) {
		file -= n;
		im = im->parent;
		n = im ? im->manifest->n_files - 1 : 0;
	}
	*ret_own = file;
	return im;
}

bool holes_hit(const struct images *im, size_t file, uint64_t start, uint64_t end)
{
	const Img__Manifest__File *listed;
	const struct images *owner = owner_of(im, file, &file);
	size_t i;

	/* Of itself that was refused, or nobody wants to know. */
	if (!owner || owner == im)
		return false;
	listed = owner->manifest->files[file + 1];
	i = first_behind(listed, start / HOLE_PAGE);
	return i < listed->n_hole_start && listed->hole_start[i] * HOLE_PAGE < end;
}

int holes_fail(const struct images *im, size_t file)
{
	const struct images *owner = owner_of(im, file, &file);

	return fail(
		-EBADMSG,
		"checkpoint %s: pages that it needs were removed from its parent %s (--dedup) as "
		"another increment has no use for them; give the last increment",
		im->dir, owner ? owner->dir : "");
}
