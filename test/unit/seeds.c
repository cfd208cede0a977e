/* The seeds of the fuzzing of the model: this crtool can read each of them, and there is a record of every kind. */
#include <dirent.h>
#include <stdio.h>
#include <sys/stat.h>

#include "images/decode.h"
#include "images/format.h"
#include "lib/log.h"

#include "unit.h"

#define SEEDS "test/fuzz/model.seeds"

static void see(const char *name, bool *seen)
{
	uint8_t data[1 << 16];
	struct images *im;
	char path[300];
	FILE *file;
	size_t n;
	int r;

	snprintf(path, sizeof(path), SEEDS "/%s", name);
	file = fopen(path, "re");
	check(file);
	n = fread(data, 1, sizeof(data), file);
	fclose(file);
	check(n > 0 && n < sizeof(data) && !images_new(name, &im));
	r = state_decode(im, data, n);
	if (r < 0)
		printf("# %s: %s\n", name, log_failure());
	check(r == 0);
	for (size_t i = 0; i < im->nrecords; i++)
		seen[im->records[i].kind] = true;
	images_free(im);
}

TEST(every_kind_has_a_seed)
{
	static bool seen[KIND_LIMIT];
	DIR *dir = opendir(SEEDS);
	struct dirent *entry;
	unsigned missing = 0;

	check(dir);
	while ((entry = readdir(dir)))
		if (*entry->d_name != '.')
			see(entry->d_name, seen);
	closedir(dir);
	for (uint32_t kind = 0; kind < KIND_LIMIT; kind++) {
		if (kind == KIND_manifest || !kind_descriptor(kind) || seen[kind])
			continue;
		printf("# there is none of %s\n", kind_name(kind));
		missing++;
	}
	check(missing == 0);
}
