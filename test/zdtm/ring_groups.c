/*
 * Provided buffers of an io_uring: each request that asks for one gets the next that nobody has had. Arguments:
 * ring (of buffers, in memory of the victim), mapped (in memory of the kernel's), list (of buffers), all (of these, and
 * many groups), single, noarray (the same of one that one thread alone may use), polled (by a thread of the kernel),
 * iopoll (of one that polls for completions), round (the numbers of a ring have come round), whole (nothing was
 * taken by parts), parts, parts_polled (they are taken by parts); parts_single, fork, gone, bundle and files_polled
 * (and a file is registered) are refused.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "ring.h"

#define BUFFERS 8u
#define SIZE    16u
#define LAST    700 /* the number of a group: more than one node of the kernel's tree has */
#define MAPPED  1
#define PARTS   2
#define BUNDLE  (1U << 4) /* IORING_RECVSEND_BUNDLE */

struct group {
	struct io_uring_buf_ring *ring; /* NULL: a list */
	char *space;
	uint16_t id, given, want;
};

static int file;
static bool fails; /* what cannot be polled cannot be read either, but takes a buffer */

static void *page(void)
{
	static char pages[40][4096] __attribute__((aligned(4096)));
	static size_t n;

	check(n < sizeof(pages) / sizeof(*pages));
	return pages[n++];
}

static void give(struct group *g)
{
	uint16_t id = g->given++ % BUFFERS;

	if (!g->ring) {
		check(ring_request((struct io_uring_sqe){ .opcode = IORING_OP_PROVIDE_BUFFERS,
		                                          .fd = 1,
		                                          .addr = (uint64_t)(g->space + id * SIZE),
		                                          .len = SIZE,
		                                          .off = id,
		                                          .buf_group = g->id })
		              .res == 0);
		return;
	}
	g->ring->bufs[id].addr = (uint64_t)(g->space + id * SIZE);
	g->ring->bufs[id].len = SIZE;
	g->ring->bufs[id].bid = id;
	__atomic_store_n(&g->ring->tail, g->given, __ATOMIC_RELEASE);
}

static struct group make_ring(uint16_t id, uint16_t flags)
{
	struct io_uring_buf_reg registration = { .ring_entries = BUFFERS,
		                                 .bgid = id,
		                                 .pad = flags };
	struct group g = { .id = id, .space = page() };

	if (!(flags & MAPPED)) {
		g.ring = page();
		registration.ring_addr = (uint64_t)g.ring;
	}
	check(reg(IORING_REGISTER_PBUF_RING, &registration, 1));
	if (flags & MAPPED)
		g.ring = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, u.fd,
		              0x80000000L | (long)id << 16);
	check(g.ring != MAP_FAILED);
	for (unsigned i = 0; i < BUFFERS; i++)
		give(&g);
	return g;
}

static struct group make_list(uint16_t id)
{
	struct group g = { .id = id, .space = page() };

	check(ring_request((struct io_uring_sqe){ .opcode = IORING_OP_PROVIDE_BUFFERS,
	                                          .fd = BUFFERS,
	                                          .addr = (uint64_t)g.space,
	                                          .len = SIZE,
	                                          .buf_group = id })
	              .res == 0);
	g.given = BUFFERS;
	return g;
}

/* It is the next one, and it is read into. */
static void take(struct group *g)
{
	unsigned id = g->want++ % BUFFERS;
	struct ring_answer cqe;

	memset(g->space + id * SIZE, 0, SIZE);
	cqe = ring_request((struct io_uring_sqe){ .opcode = IORING_OP_READ,
	                                          .flags = IOSQE_BUFFER_SELECT,
	                                          .fd = file,
	                                          .len = SIZE,
	                                          .buf_group = g->id });
	check(cqe.res == (fails ? -EOPNOTSUPP : 5));
	check(cqe.flags == (id << IORING_CQE_BUFFER_SHIFT | IORING_CQE_F_BUFFER));
	check(fails || !memcmp(g->space + id * SIZE, "hello\0\0", 7));
}

static void none_left(const struct group *g)
{
	check(ring_request((struct io_uring_sqe){ .opcode = IORING_OP_READ,
	                                          .flags = IOSQE_BUFFER_SELECT,
	                                          .fd = file,
	                                          .len = SIZE,
	                                          .buf_group = g->id })
	              .res == -ENOBUFS);
}

static uint32_t flags_of(const char *kind)
{
	return strstr(kind, "single")     ? RING_SINGLE
	       : !strcmp(kind, "noarray") ? RING_SINGLE | RING_NOARRAY
	       : strstr(kind, "polled")   ? IORING_SETUP_SQPOLL
	       : !strcmp(kind, "iopoll")  ? IORING_SETUP_IOPOLL
	                                  : 0;
}

/* Is it a KIND that has the group that is called WHAT? */
static bool has(const char *kind, const char *what)
{
	return !strcmp(kind, what) || (!strcmp(kind, "iopoll") && strcmp(what, "list")) ||
	       !strcmp(kind, "all") || !strcmp(kind, "polled") || !strcmp(kind, "single") ||
	       !strcmp(kind, "noarray");
}

/* A quarter of the next one; G->want counts these. */
static void take_part(struct group *g)
{
	unsigned part = g->want++, id = part / 4 % BUFFERS, from = id * SIZE + part % 4 * 4;
	struct ring_answer cqe;

	memset(g->space + from, 0, 4);
	cqe = ring_request((struct io_uring_sqe){ .opcode = IORING_OP_READ,
	                                          .flags = IOSQE_BUFFER_SELECT,
	                                          .fd = file,
	                                          .len = 4,
	                                          .buf_group = g->id });
	check(cqe.res == 4 && cqe.flags >> IORING_CQE_BUFFER_SHIFT == id);
	check(!memcmp(g->space + from, "hell", 4));
}

/* Some in memory of the victim, some in memory of the kernel's; they come round, and one is taken in part. */
static int in_parts(void)
{
	struct group groups[2] = { make_ring(3, PARTS), make_ring(4, PARTS | MAPPED) };

	for (unsigned i = 0; i < 2; i++) {
		for (unsigned k = 0; k < (2 + i) * BUFFERS; k++) {
			for (unsigned part = 0; part < 4; part++)
				take_part(&groups[i]);
			give(&groups[i]);
		}
		for (unsigned part = 0; part < 7; part++)
			take_part(&groups[i]);
	}
	ring_rest();

	zdtm_park();

	for (unsigned i = 0; i < 2; i++) {
		while (groups[i].want < 4 * groups[i].given)
			take_part(&groups[i]);
		none_left(&groups[i]);
		give(&groups[i]);
		take_part(&groups[i]);
	}
	return zdtm_pass();
}

/* One request takes two buffers. */
static void take_bundle(const struct group *g)
{
	int ends[2];
	struct ring_answer cqe;
	char text[2 * SIZE] = "";

	check(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
	check(write(ends[1], text, sizeof(text)) == sizeof(text));
	cqe = ring_request((struct io_uring_sqe){ .opcode = IORING_OP_RECV,
	                                          .flags = IOSQE_BUFFER_SELECT,
	                                          .ioprio = BUNDLE,
	                                          .fd = ends[0],
	                                          .buf_group = g->id });
	check(cqe.res == sizeof(text));
}

static int refused(const char *kind)
{
	struct group g = make_ring(3, !strcmp(kind, "parts_single") ? PARTS : 0);
	pid_t child = -1;

	if (!strcmp(kind, "bundle"))
		take_bundle(&g);
	if (!strcmp(kind, "parts_single"))
		for (int i = 0; i < 4; i++) /* 5 of 16 bytes each time */
			ring_request((struct io_uring_sqe){ .opcode = IORING_OP_READ,
			                                    .flags = IOSQE_BUFFER_SELECT,
			                                    .fd = file,
			                                    .buf_group = g.id });
	if (!strcmp(kind, "files_polled")) {
		check(reg(IORING_REGISTER_FILES, &file, 1));
		take(&g);
		ring_rest();
	}
	if (!strcmp(kind, "gone"))
		check(munmap(g.ring, 4096) == 0);
	if (!strcmp(kind, "fork"))
		child = fork();
	if (!child) {
		while (!zdtm_released())
			zdtm_nap();
		_exit(0);
	}
	zdtm_park();
	if (child > 0)
		check(waitpid(child, NULL, 0) == child);
	return zdtm_pass();
}

static bool is_refused(const char *kind)
{
	return !strcmp(kind, "parts_single") || !strcmp(kind, "fork") || !strcmp(kind, "gone") ||
	       !strcmp(kind, "bundle") || !strcmp(kind, "files_polled");
}

int main(int argc, char **argv)
{
	const char *kind = argc > 1 ? argv[1] : "all";
	struct group groups[16] = {};
	size_t n = 0;

	file = open("file", O_RDWR | O_CREAT, 0600);
	check(file >= 0 && pwrite(file, "hello", 5, 0) == 5);
	ring_make(flags_of(kind));
	fails = u.p.flags & IORING_SETUP_IOPOLL;
	if (is_refused(kind))
		return refused(kind);
	if (!strncmp(kind, "parts", strlen("parts")))
		return in_parts();
	if (has(kind, "ring"))
		groups[n++] = make_ring(7, 0);
	if (has(kind, "mapped"))
		groups[n++] = make_ring(8, MAPPED);
	if (has(kind, "list"))
		groups[n++] = make_list(9);
	if (!strcmp(kind, "all"))
		for (uint16_t id = 0; id < 5; id++)
			groups[n++] = id % 2 ? make_ring(id, 0) : make_list(id);
	if (!strcmp(kind, "whole"))
		groups[n++] = make_ring(0, PARTS);
	else
		groups[n++] = make_ring(LAST, 0);
	/* all of the first are taken, of the others fewer; some have come round */
	for (size_t i = 0; strcmp(kind, "whole") && i < n; i++) {
		for (unsigned k = 0; k < BUFFERS - i % 5; k++)
			take(&groups[i]);
		for (unsigned k = 0; i && k < i % 3; k++)
			give(&groups[i]);
	}
	for (unsigned i = 0; !strcmp(kind, "round") && i < 65522; i++) {
		give(&groups[n - 1]);
		take(&groups[n - 1]);
	}
	for (unsigned i = 0; !strcmp(kind, "round") && i < BUFFERS; i++)
		give(&groups[n - 1]); /* up to 2, taken up to 65530 */
	ring_rest();

	zdtm_park();

	for (size_t i = 0; i < n; i++) {
		while (groups[i].want != groups[i].given)
			take(&groups[i]);
		none_left(&groups[i]);
		give(&groups[i]);
		give(&groups[i]);
		take(&groups[i]);
		take(&groups[i]);
		none_left(&groups[i]);
		give(&groups[i]);
	}
	ring_rest();
	return zdtm_pass();
}
