/*
 * mutate FROM TO SEED: the checkpoint FROM with some hostile values in it, but
 * whole and with checksums that are right, as a forger would write it to TO, an empty
 * directory. The same seed makes the same.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "lib/cleanup.h"
#include "lib/fd.h"
#include "lib/log.h"
#include "test/fuzz/mutate.h"

#define CHUNK (256u << 10)

static int copy_pages(const struct images *im, size_t file, struct image_writer *w)
{
	auto_free char *buf = malloc(CHUNK);
	uint64_t size = images_pages_size(im, file);
	struct pages_file *to;
	int r = buf ? image_add_pages(w, &to) : -ENOMEM;

	for (uint64_t at = 0; r == 0 && at < size; at += CHUNK) {
		size_t n = size - at < CHUNK ? (size_t)(size - at) : CHUNK;

		r = pread_full(im->pages[file], buf, n, (off_t)at);
		if (r == 0)
			r = pages_file_write(to, buf, n);
	}
	return r;
}

static int write_all(struct images *im, int dirfd)
{
	struct image_writer *w;
	int r = image_writer_new(dirfd, 0600, NULL, &w);

	if (r < 0)
		return r;
	for (size_t i = 0; r == 0 && i < im->nrecords; i++)
		r = image_put(w, (enum record_kind)im->records[i].kind, im->records[i].owner,
		              im->records[i].msg);
	for (size_t i = 0; r == 0 && i < im->npages; i++)
		r = copy_pages(im, i, w);
	if (r == 0)
		r = image_seal(w, im->manifest, false);
	image_writer_free(w);
	return r;
}

int main(int argc, char **argv)
{
	auto_close int to = argc == 4 ? open(argv[2], O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	struct mutator m = { .random = argc == 4 ? strtoull(argv[3], NULL, 10) : 0 };
	int r;

	if (to < 0) {
		fprintf(stderr, "usage: mutate FROM TO SEED\n");
		return 2;
	}
	log_setup(LOG_ERROR, NULL);
	r = images_read(argv[1], PAGES_LEFT, NULL, &m.im);
	if (r < 0)
		return 1;
	if (mutate_below(&m, 16) == 0)
		mutate_message(&m, &m.im->manifest->base);
	for (size_t n = 1 + mutate_below(&m, 3); n; n--)
		mutate_once(&m);
	r = write_all(m.im, to);
	images_free(m.im);
	return r < 0;
}
