/* What is registered with an io_uring, restore half: its process registers it again. */
#include "restore/ring_table.h"

#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>

#include "lib/log.h"
#include "lib/uring.h"
#include "proto/fds.pb-c.h"
#include "restore/io_uring.h"

#define REGISTER_FILE_ALLOC_RANGE 25u      /* IORING_REGISTER_FILE_ALLOC_RANGE, 6.0 */
#define REGISTER_CLOCK            29u      /* IORING_REGISTER_CLOCK, 6.12 */
#define FILES_MAX                 1048576u /* IORING_MAX_FIXED_FILES */
#define BUFFERS_MAX               16384u   /* IORING_MAX_REG_BUFFERS */

/* What is made last is there too late. */
static bool is_file(const struct restore *r, uint32_t id, uint32_t kind)
{
	const Img__File *file = (const Img__File *)images_one(r->images, KIND_file, id);

	return file && (!kind || file->kind == kind) && !file_is_last(r, id);
}

bool ring_table_sound(const struct restore *r, const Img__IoUring *msg)
{
	for (size_t i = 0; i < msg->n_slot; i++)
		if (msg->slot[i] && !is_file(r, msg->slot[i], 0))
			return false;
	return msg->n_buffer == msg->n_length && msg->n_buffer <= BUFFERS_MAX &&
	       msg->files <= FILES_MAX && (!msg->n_slot || msg->n_slot == msg->files) &&
	       msg->slot_first <= msg->slot_end && msg->slot_end <= msg->files &&
	       (!msg->n_workers || msg->n_workers == 2) &&
	       (!msg->clock || msg->clock == CLOCK_BOOTTIME) &&
	       (msg->eventfd ? is_file(r, msg->eventfd, KIND_eventfd) : !msg->event_async);
}

unsigned ring_event_call(const Img__IoUring *msg)
{
	return msg->event_async ? IORING_REGISTER_EVENTFD_ASYNC : IORING_REGISTER_EVENTFD;
}

/* A number of FILE in FDS; -1: none. */
static int number_of(const Img__Fds *fds, uint32_t file)
{
	for (size_t i = 0; fds && i < fds->n_fd; i++)
		if (fds->file[i] == file)
			return (int)fds->fd[i];
	return -1;
}

static int emit_files(const Img__Fds *fds, struct script *s, int fd, const Img__IoUring *msg)
{
	uint64_t at = script_alloc(s, msg->files * sizeof(int) + 1);
	int *list = script_at(s, at);

	for (size_t i = 0; list && i < msg->files; i++) {
		uint32_t file = i < msg->n_slot ? msg->slot[i] : 0;

		list[i] = file ? number_of(fds, file) : -1;
		if (file && list[i] < 0)
			return fail(
				-EBADMSG,
				"io_uring: file %u is registered, and its process has not got it",
				file);
	}
	if (msg->files)
		script_call(s, SYS_io_uring_register, fd, IORING_REGISTER_FILES, at, msg->files);
	if (msg->slot_end) {
		const struct {
			uint32_t off, len;
			uint64_t resv;
		} range = { msg->slot_first, msg->slot_end - msg->slot_first, 0 };

		script_call(s, SYS_io_uring_register, fd, REGISTER_FILE_ALLOC_RANGE,
		            script_put(s, &range, sizeof(range)), 0);
	}
	return 0;
}

/* One whose requests are made in finish() counts from then on. */
static int emit_eventfd(const Img__Fds *fds, struct script *s, int fd, const Img__IoUring *msg)
{
	int number = number_of(fds, msg->eventfd);

	if (number < 0)
		return fail(-EBADMSG,
		            "io_uring: eventfd %u is registered, and its process has not got it",
		            msg->eventfd);
	if (msg->setup & URING_SINGLE_ISSUER || !ring_is_late(msg))
		script_call(s, SYS_io_uring_register, fd, ring_event_call(msg),
		            script_put(s, &number, sizeof(number)), 1);
	return 0;
}

static void emit_ways(struct script *s, int fd, const Img__IoUring *msg)
{
	const uint32_t clock[4] = { msg->clock };

	if (msg->clock)
		script_call(s, SYS_io_uring_register, fd, REGISTER_CLOCK,
		            script_put(s, clock, sizeof(clock)), 0);
	if (msg->n_workers)
		script_call(s, SYS_io_uring_register, fd, IORING_REGISTER_IOWQ_MAX_WORKERS,
		            script_put(s, msg->workers, 2 * sizeof(uint32_t)), 2);
}

int ring_table_emit(struct restore *r, const struct rtask *t, struct script *s, int fd,
                    const Img__IoUring *msg)
{
	const Img__Fds *fds = (const Img__Fds *)images_one(r->images, KIND_fds,
	                                                   (uint32_t)t->shares[TABLE_FILES]->pid);
	int e;

	uint64_t list = script_alloc(s, msg->n_buffer * sizeof(struct iovec) + 1);
	struct iovec *iov = script_at(s, list);

	for (size_t i = 0; iov && i < msg->n_buffer; i++)
		iov[i] = (struct iovec){ (void *)(uintptr_t)msg->buffer[i], msg->length[i] };
	if (msg->n_buffer)
		script_call(s, SYS_io_uring_register, fd, IORING_REGISTER_BUFFERS, list,
		            msg->n_buffer);
	emit_ways(s, fd, msg);
	e = emit_files(fds, s, fd, msg);
	return e == 0 && msg->eventfd ? emit_eventfd(fds, s, fd, msg) : e;
}
