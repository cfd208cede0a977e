/* restore/inode.c: a record from a stranger. */
#include <errno.h>
#include <sys/stat.h>

#include "lib/log.h"
#include "restore/inode.h"

#include "unit.h"

#define PAGE UINT64_C(4096)

/* A small checkpoint that is right: the tests spoil it. */
static uint64_t run_start[] = { 1 }, run_count[] = { 2 };
static Img__Pages pages, *page_list[] = { &pages };
static char colour[] = "user.colour", empty[] = "", target[] = "x", directory[] = "/a/..";
static char root[] = "/", relative[] = "a/b", path[] = "/a/b", *names[] = { colour };
static uint8_t handle[200];
static ProtobufCBinaryData values[] = { { 3, handle } };
static Img__Inode inode;
static Img__Manifest manifest;
static Img__Manifest__File state_file, pages_file, *files[] = { &state_file, &pages_file };
static struct record record;
static struct images images;
static struct restore restore;

static int verdict(uint32_t mode)
{
	record = (struct record){ KIND_inode, 3, 0, &inode.base };
	images = (struct images){ .manifest = &manifest,
		                  .records = &record,
		                  .nrecords = 1,
		                  .npages = 1,
		                  .dir = (char *)(uintptr_t) "test" };
	restore.images = &images;
	return inode_check(&restore, 3, mode, "fd 3");
}

static void make(void)
{
	log_setup(LOG_ERROR, fopen("/dev/null", "w"));
	img__pages__init(&pages);
	pages.start = run_start, pages.n_start = 1;
	pages.count = run_count, pages.n_count = 1;
	img__inode__init(&inode);
	inode.id = 3, inode.path = path, inode.mode = S_IFREG | 0600, inode.size = 3 * PAGE - 5;
	inode.content = page_list, inode.n_content = 1;
	inode.xattr = names, inode.n_xattr = 1;
	inode.xattr_value = values, inode.n_xattr_value = 1;
	names[0] = colour, values[0].len = 3;
	img__manifest__init(&manifest);
	img__manifest__file__init(&state_file);
	img__manifest__file__init(&pages_file);
	pages_file.size = 2 * PAGE;
	manifest.files = files, manifest.n_files = 2;
	manifest.page_size = PAGE;
	check(verdict(S_IFREG) == 0);
}

#define SPOILED(name, spoil)                         \
	TEST(name)                                   \
	{                                            \
		make();                              \
		spoil;                               \
		check(verdict(S_IFREG) == -EBADMSG); \
		log_forget();                        \
	}

TEST(a_right_one_is_accepted)
{
	make();
}

TEST(another_type_than_wanted_is_refused)
{
	make();
	check(verdict(S_IFDIR) == -EBADMSG);
	log_forget();
}

TEST(a_missing_record_is_refused)
{
	make();
	check(inode_check(&restore, 9, S_IFREG, "fd 3") == -EBADMSG);
	log_forget();
}

SPOILED(the_root_is_no_deleted_file, inode.path = root)
SPOILED(a_path_that_ends_in_dots_is_refused, inode.path = directory)
SPOILED(a_relative_path_is_refused, inode.path = relative)
SPOILED(an_unknown_type_is_refused, inode.mode = 0600)
SPOILED(unknown_bits_of_the_mode_are_refused, inode.mode |= 1u << 20)
SPOILED(too_large_a_size_is_refused, inode.size = UINT64_MAX)
SPOILED(pages_beyond_the_end_are_refused, inode.size = 2 * PAGE)
SPOILED(pages_beyond_the_page_file_are_refused, pages_file.size = PAGE)
SPOILED(attributes_without_values_are_refused, inode.n_xattr_value = 0)
SPOILED(an_attribute_without_a_name_is_refused, names[0] = empty)
SPOILED(too_long_a_value_is_refused, (names[0] = colour, values[0].len = 65537))
SPOILED(a_handle_with_content_is_refused, inode.handle = ((ProtobufCBinaryData){ 8, handle }))
SPOILED(too_long_a_handle_is_refused,
        (inode.n_content = 0, inode.handle = ((ProtobufCBinaryData){ 129, handle })))
SPOILED(a_file_with_a_target_is_refused, inode.target = target)
SPOILED(a_directory_with_content_is_refused, inode.mode = S_IFDIR | 0700)
SPOILED(a_link_without_a_target_is_refused,
        (inode.mode = S_IFLNK | 0777, inode.size = 0, inode.n_content = 0))
