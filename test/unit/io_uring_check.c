/* restore/io_uring.c: a record from a stranger. */
#include <errno.h>
#include <linux/io_uring.h>
#include <time.h>

#include "images/images.h"
#include "lib/log.h"
#include "lib/uring.h"
#include "proto/io_uring.pb-c.h"
#include "restore/restore.h"

#include "unit.h"

extern const struct restore_kind restore_io_uring;

#define SQES 4u

/* A ring that is right, with all that can be registered: the tests spoil it. */
static uint8_t ring_bytes[512], sqe_bytes[SQES * 64], buffer_bytes[16 * 16];
static uint64_t buffer[] = { 4096, 0 }, addr[] = { 8192, 16384 };
static uint32_t length[] = { 100, 0 }, slot[] = { 0, 2, 0 }, workers[] = { 3, 5 };
static uint32_t each[] = { 16, 32 }, first[] = { 0, 9 }, count[] = { 8, 1 };
static Img__IoUring__Group taken, mapped, list, *groups[] = { &taken, &mapped, &list };
static Img__IoUring ring;
static Img__File other, event;
static struct record records[2];
static struct images images;
static struct restore restore;

static int verdict(void)
{
	Img__File file = IMG__FILE__INIT;

	file.id = 1;
	return (restore_io_uring.check)(&restore, &file, &ring.base);
}

static void make_groups(void)
{
	img__io_uring__group__init(&taken);
	img__io_uring__group__init(&mapped);
	img__io_uring__group__init(&list);
	taken.id = 1, taken.entries = 8, taken.head = 5, taken.address = 4096;
	mapped.id = 7, mapped.entries = 16;
	mapped.ring = (ProtobufCBinaryData){ sizeof(buffer_bytes), buffer_bytes };
	list.id = 65535, list.addr = addr, list.length = each, list.first = first;
	list.count = count;
	list.n_addr = list.n_length = list.n_first = list.n_count = 2;
	ring.group = groups, ring.n_group = 3;
}

static void make_files(void)
{
	img__file__init(&other);
	img__file__init(&event);
	other.id = 2, other.kind = KIND_pipe;
	event.id = 3, event.kind = KIND_eventfd;
	records[0] = (struct record){ KIND_file, 2, 0, &other.base };
	records[1] = (struct record){ KIND_file, 3, 0, &event.base };
	images = (struct images){ .records = records, .nrecords = 2 };
	restore.images = &images;
}

static void make(void)
{
	log_setup(LOG_ERROR, fopen("/dev/null", "w"));
	make_files();
	img__io_uring__init(&ring);
	ring.sq_entries = SQES, ring.cq_entries = 2 * SQES, ring.done = 7;
	ring.ring = (ProtobufCBinaryData){ sizeof(ring_bytes), ring_bytes };
	ring.sqes = (ProtobufCBinaryData){ sizeof(sqe_bytes), sqe_bytes };
	ring.files = 3, ring.slot = slot, ring.n_slot = 3, slot[1] = 2;
	ring.slot_first = 1, ring.slot_end = 3;
	ring.buffer = buffer, ring.length = length, ring.n_buffer = ring.n_length = 2;
	ring.workers = workers, ring.n_workers = 2;
	ring.eventfd = 3, ring.event_async = true, ring.clock = CLOCK_BOOTTIME;
	first[1] = 9, count[0] = 8, count[1] = 1;
	make_groups();
	check(verdict() == 0);
}

#define SPOILED(name, ...)                    \
	TEST(name)                            \
	{                                     \
		make();                       \
		__VA_ARGS__;                  \
		check(verdict() == -EBADMSG); \
		log_forget();                 \
	}

SPOILED(no_entries, ring.sq_entries = 0; ring.sqes.len = 0)
SPOILED(entries_that_are_no_power_of_two, ring.sq_entries = 3; ring.sqes.len = 192)
SPOILED(too_many_entries, ring.sq_entries = 2 * URING_SQ_MAX)
SPOILED(fewer_completions_than_requests, ring.cq_entries = 2)
SPOILED(too_many_completions, ring.cq_entries = 2 * URING_CQ_MAX)
SPOILED(endless_requests, ring.done = (1u << 27) + 1)
SPOILED(requests_cut_off, ring.sqes.len--)
SPOILED(a_ring_that_was_made_in_an_unknown_way, ring.setup = 1u << 30)
SPOILED(a_ring_whose_memory_is_elsewhere, ring.setup = URING_NO_MMAP)
SPOILED(larger_entries, ring.setup = IORING_SETUP_SQE128)
SPOILED(one_that_defers_and_is_everybodys, ring.setup = URING_DEFER_TASKRUN)
SPOILED(one_that_one_thread_and_the_kernel_use,
        ring.setup = URING_SINGLE_ISSUER | IORING_SETUP_SQPOLL)
SPOILED(a_cpu_of_a_thread_that_is_none, ring.setup = IORING_SETUP_SQ_AFF)
SPOILED(more_rounds_than_one_thread_makes, {
	ring.setup = URING_SINGLE_ISSUER;
	ring.done = (URING_STEPS_MAX + 1) * SQES;
})
SPOILED(a_buffer_without_a_length, ring.n_length = 1)
SPOILED(too_many_buffers, ring.n_buffer = ring.n_length = 16385)
SPOILED(too_many_slots, ring.n_slot = 0; ring.files = 1048577)
SPOILED(slots_for_some_of_the_files, ring.n_slot = 2)
SPOILED(a_file_that_there_is_not, slot[1] = 99)
SPOILED(a_file_that_is_the_ring_itself, slot[1] = 1)
SPOILED(slots_that_end_before_they_begin, ring.slot_first = 3; ring.slot_end = 2)
SPOILED(slots_behind_the_last, ring.slot_end = 4)
SPOILED(one_number_of_workers, ring.n_workers = 1)
SPOILED(a_clock_that_it_cannot_go_by, ring.clock = CLOCK_TAI)
SPOILED(an_eventfd_that_is_a_pipe, ring.eventfd = 2)
SPOILED(an_eventfd_that_there_is_not, ring.eventfd = 99)
SPOILED(the_way_of_an_eventfd_that_there_is_not, ring.eventfd = 0)
SPOILED(more_buffers_taken_than_requests_made, taken.head = 6)
SPOILED(an_endless_number_of_buffers_taken, taken.head = 65536; ring.done = 1u << 20)
SPOILED(parts_of_buffers_that_one_thread_has_taken, taken.parts = true;
        ring.setup = URING_SINGLE_ISSUER)
SPOILED(a_ring_of_buffers_that_is_no_power_of_two, taken.entries = 6)
SPOILED(too_large_a_ring_of_buffers, taken.entries = 65536)
SPOILED(a_ring_of_buffers_across_pages, taken.address = 4100)
SPOILED(a_ring_of_buffers_in_two_places, mapped.address = 4096)
SPOILED(the_content_of_a_ring_cut_off, mapped.ring.len--)
SPOILED(no_content_of_a_ring, taken.address = 0)
SPOILED(a_ring_that_is_a_list, taken.addr = addr;
        taken.n_addr = taken.n_length = taken.n_first = taken.n_count = 1; taken.length = each;
        taken.first = first; taken.count = count; ring.done = 100)
SPOILED(a_list_of_nothing, list.n_addr = list.n_length = list.n_first = list.n_count = 0)
SPOILED(a_list_from_which_is_taken, list.head = 1; ring.done = 100)
SPOILED(buffers_without_lengths, list.n_length = 1)
SPOILED(buffers_without_numbers, list.n_first = 1)
SPOILED(buffers_that_are_not_counted, list.n_count = 1)
SPOILED(no_buffers_at_an_address, count[1] = 0)
SPOILED(numbers_of_buffers_beyond_the_last, first[1] = 65535; count[1] = 2)
SPOILED(a_number_of_a_buffer_beyond_the_last, first[1] = UINT32_MAX)
SPOILED(a_group_beyond_the_last, list.id = 65536)
SPOILED(groups_out_of_order, mapped.id = 1)
SPOILED(buffers_taken_and_files_where_the_kernel_polls, ring.setup = IORING_SETUP_SQPOLL)
SPOILED(too_many_requests_to_write, {
	ring.setup = URING_SINGLE_ISSUER;
	ring.sq_entries = URING_SQ_MAX, ring.cq_entries = URING_SQ_MAX;
	ring.sqes.len = URING_SQ_MAX * 64;
})
