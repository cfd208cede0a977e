/* restore/memory_check.c: a record from a stranger. */
#include <sys/mman.h>

#include "proto/regular.pb-c.h"
#include "restore/memory.h"
#include "restore/shmem.h"
#include "lib/log.h"

#include "unit.h"

#define PID   7u
#define PAGE  UINT64_C(4096)
#define VMAS  4
#define START UINT64_C(0x10000000)

/* A small checkpoint that is right: the tests spoil it. */
static Img__Vma vmas[VMAS], *vma_list[VMAS] = { &vmas[0], &vmas[1], &vmas[2], &vmas[3] };
static uint64_t run_start[] = { START / PAGE, 2 }, run_count[] = { 2, 1 };
static uint64_t run_skip[] = { 0, UINT64_MAX / PAGE };
static uint64_t guard_start[] = { START + PAGE }, guard_size[] = { PAGE };
static Img__Memory memory;
static Img__Pages pages, *page_list[] = { &pages };
static Img__File file;
static Img__Regular regular;
static Img__Shmem shmem;
static Img__Manifest manifest;
static Img__Manifest__File state_file, pages_file, *files[] = { &state_file, &pages_file };
static struct record records[5];
static struct images images;
static struct restore restore;

/* Four mappings of four pages: anonymous, a file, shared memory, shared memory mapped privately. */
static void make_vmas(void)
{
	static const Img__Vma__Type types[] = { IMG__VMA__TYPE__ANON, IMG__VMA__TYPE__FILE,
		                                IMG__VMA__TYPE__SHMEM, IMG__VMA__TYPE__SHMEM };
	static const uint32_t map[] = { MAP_PRIVATE | MAP_ANONYMOUS, MAP_PRIVATE, MAP_SHARED,
		                        MAP_PRIVATE };

	for (size_t i = 0; i < VMAS; i++) {
		img__vma__init(&vmas[i]);
		vmas[i].start = START + i * 4 * PAGE;
		vmas[i].size = 4 * PAGE;
		vmas[i].prot = PROT_READ | PROT_WRITE;
		vmas[i].type = types[i];
		vmas[i].map = map[i];
		vmas[i].object = i == 1 ? 3 : i > 1 ? 5 : 0;
	}
}

static void make_records(void)
{
	img__memory__init(&memory);
	memory.vmas = vma_list, memory.n_vmas = VMAS;
	memory.exe = 3;
	memory.guard_start = guard_start, memory.n_guard_start = 1;
	memory.guard_size = guard_size, memory.n_guard_size = 1;
	img__pages__init(&pages);
	pages.start = run_start, pages.n_start = 2;
	pages.count = run_count, pages.n_count = 2;
	img__file__init(&file);
	img__regular__init(&regular);
	img__shmem__init(&shmem);
	shmem.id = 5, shmem.size = 8 * PAGE;
	img__manifest__init(&manifest);
	img__manifest__file__init(&state_file);
	img__manifest__file__init(&pages_file);
	pages_file.size = 3 * PAGE;
	manifest.files = files, manifest.n_files = 2;
	manifest.page_size = PAGE;
}

static int verdict(void)
{
	images = (struct images){ .manifest = &manifest,
		                  .records = records,
		                  .nrecords = 5,
		                  .npages = 1,
		                  .dir = (char *)(uintptr_t) "test" };
	restore.images = &images;
	records[0] = (struct record){ KIND_file, 3, 0, &file.base };
	records[1] = (struct record){ KIND_pages, PID, 0, &pages.base };
	records[2] = (struct record){ KIND_shmem, 5, 0, &shmem.base };
	records[3] = (struct record){ KIND_memory, PID, 0, &memory.base };
	records[4] = (struct record){ KIND_regular, 3, 0, &regular.base };
	if (KIND_memory > KIND_regular) {
		struct record r = records[3];

		records[3] = records[4], records[4] = r;
	}
	return memory_check(&restore, PID, &memory.base);
}

static void make(void)
{
	log_setup(LOG_ERROR, fopen("/dev/null", "w"));
	make_vmas();
	make_records();
	check(verdict() == 0);
}

#define SPOILED(name, spoil)                  \
	TEST(name)                            \
	{                                     \
		make();                       \
		spoil;                        \
		check(verdict() == -EBADMSG); \
	}

TEST(a_right_one_is_accepted)
{
	make();
}

SPOILED(overlaps_are_refused, vmas[1].start -= PAGE)
SPOILED(disorder_is_refused, vmas[1].start = PAGE)
SPOILED(an_unaligned_start_is_refused, vmas[1].start += 1)
SPOILED(an_unaligned_size_is_refused, vmas[0].size -= 1)
SPOILED(an_empty_mapping_is_refused, vmas[0].size = 0)
SPOILED(a_mapping_that_wraps_around_is_refused, vmas[3].size = -vmas[3].start)
SPOILED(a_mapping_beyond_user_space_is_refused, vmas[3].size = UINT64_C(1) << 47)
SPOILED(a_start_beyond_user_space_is_refused, vmas[3].start = UINT64_C(1) << 63)
SPOILED(unknown_protection_is_refused, vmas[0].prot = 8)
SPOILED(unknown_flags_are_refused, vmas[0].map |= MAP_FIXED)
SPOILED(unknown_traits_are_refused, vmas[0].traits = UINT32_C(1) << 31)
SPOILED(an_impossible_protection_key_is_refused, vmas[0].pkey = 32)
SPOILED(the_key_of_plain_memory_is_nobodys, memory.pkeys = 1)
SPOILED(impossible_keys_are_refused, memory.pkeys = UINT32_C(1) << 16)
SPOILED(an_unknown_kind_is_refused, vmas[0].type = (Img__Vma__Type)9)
SPOILED(an_anonymous_file_is_refused, vmas[1].map |= MAP_ANONYMOUS)
SPOILED(shared_anonymous_memory_without_an_object_is_refused,
        vmas[0].map = MAP_SHARED | MAP_ANONYMOUS)
SPOILED(a_missing_file_is_refused, vmas[1].object = 99)
SPOILED(missing_shared_memory_is_refused, vmas[2].object = 99)
SPOILED(an_unaligned_offset_is_refused, vmas[1].offset = 1)
SPOILED(an_offset_that_wraps_around_is_refused, vmas[1].offset = -PAGE)
SPOILED(a_vdso_without_code_is_refused, (vmas[0].type = IMG__VMA__TYPE__VDSO, vmas[0].map = 0))
SPOILED(a_missing_executable_is_refused, memory.exe = 99)
SPOILED(an_impossible_auxv_is_refused, memory.auxv.len = 4096)
SPOILED(pages_outside_of_mappings_are_refused, run_start[0] -= 1)
SPOILED(pages_of_shared_mappings_are_refused, run_start[1] = 6)
SPOILED(pages_beyond_the_page_file_are_refused, run_count[1] = 2)
SPOILED(pages_over_the_end_are_refused, (run_count[0] = 17, pages_file.size = 20 * PAGE))
SPOILED(gaps_of_other_runs_are_refused, (pages.skip = run_skip, pages.n_skip = 1))
SPOILED(a_gap_that_wraps_around_is_refused, (pages.skip = run_skip, pages.n_skip = 2))
SPOILED(guards_outside_of_mappings_are_refused, guard_start[0] = PAGE)
SPOILED(guards_without_a_size_are_refused, memory.n_guard_size = 0)
SPOILED(a_guard_that_wraps_around_is_refused, guard_size[0] = -PAGE)
SPOILED(pages_beyond_shared_memory_are_refused, (shmem.pages = page_list, shmem.n_pages = 1))
SPOILED(impossible_huge_pages_are_refused, shmem.huge_page_size = 3)
SPOILED(anonymous_shared_memory_of_no_size_is_refused, shmem.size = 0)
SPOILED(too_much_shared_memory_is_refused, shmem.size = UINT64_MAX)
