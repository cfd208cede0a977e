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
#include "lib/log.h"
#include "test/fuzz/mutate.h"
#include "test/tools/rewrite.h"

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
	r = rewrite(m.im, to);
	images_free(m.im);
	return r < 0;
}
