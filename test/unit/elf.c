/* lib/elf.c, on our own vDSO */
#include "lib/elf.h"

#include <sys/auxv.h>

#include "unit.h"

#define SIZE 8192u

static char *vdso(void)
{
	const void *image = (const void *)getauxval(AT_SYSINFO_EHDR);
	static char copy[SIZE];

	if (!image)
		skip("no vDSO");
	memcpy(copy, image, SIZE);
	return copy;
}

TEST(a_symbol_is_found_by_its_name)
{
	struct elf_symbol s;
	char *image = vdso();

	check(elf_find(image, SIZE, "__vdso_clock_gettime", &s));
	check(s.value && s.value + s.size < SIZE && s.size > 16);
	check(!elf_find(image, SIZE, "__vdso_nonsense", &s));
}

TEST(undefined_and_absolute_symbols_are_none)
{
	struct elf_symbol s;
	char *image = vdso();

	check(!elf_find(image, SIZE, "LINUX_2.6", &s));
	check(!elf_find(image, SIZE, "", &s));
}

/* Whatever byte of the headers is wrong, nothing outside of the image is touched (SAN=1 sees). */
TEST(a_damaged_image_is_harmless)
{
	struct elf_symbol s;
	char *image = vdso();

	for (size_t at = 0; at < SIZE; at++) {
		char was = image[at];

		image[at] = (char)0xff;
		elf_find(image, SIZE, "__vdso_nonsense", &s);
		image[at] = was;
	}
}

TEST(a_cut_image_has_no_symbols)
{
	struct elf_symbol s;
	char *image = vdso();

	for (size_t size = 0; size < 1024; size++)
		check(!elf_find(image, size, "__vdso_clock_gettime", &s));
}
