/* parasite/mover.h: the code as it is run elsewhere, here */
#include "parasite/mover.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "images/hash.h"
#include "unit.h"

#define PAGES 1500u

extern const char mover_plain[], mover_plain_end[];
static uint8_t data[3 * HASH_PIECE / 2];

static char *loaded(const char *code, size_t size)
{
	char *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	check(at != MAP_FAILED);
	memcpy(at, code, size);
	check(!mprotect(at, size, PROT_READ | PROT_EXEC));
	return at;
}

static uint64_t hash_of(const void *p, size_t size)
{
	struct file_hash h;
	uint64_t hash;

	check(!file_hash_init(&h, NULL));
	file_hash_update(&h, p, size);
	hash = file_hash_digest(&h);
	file_hash_done(&h);
	return hash;
}

/* In iovecs of all lengths. */
static void check_sum(const char *code, size_t code_size, size_t size)
{
	uint64_t (*sum)(struct mover_sum *, const struct iovec *, uint64_t) =
		(void *)(loaded(code, code_size) + MOVER_SUM);
	uint64_t hashes[2] = {};
	struct mover_sum s = { .hashes = (uint64_t)hashes };
	size_t at = 0;

	for (size_t step = 1; at < size; step = step * 7 % 1000003) {
		struct iovec iov[2] = { { data + at, step < size - at ? step : size - at }, {} };

		at += iov[0].iov_len;
		iov[1] = (struct iovec){ data + at, step < size - at ? step : size - at };
		at += iov[1].iov_len;
		sum(&s, iov, 2);
	}
	sum(&s, NULL, 0);
	check(s.n == (size + HASH_PIECE - 1) / HASH_PIECE);
	check(pieces_hash(hashes, s.n) == hash_of(data, size));
}

static void check_sums(const char *code, size_t size)
{
	check_sum(code, size, sizeof(data));
	check_sum(code, size, HASH_PIECE);
	check_sum(code, size, 4096);
	check_sum(code, size, 0);
}

TEST(it_makes_the_checksum_of_a_file)
{
	size_t size;
	const char *code = mover_code(&size);

	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 7 + i / 4096);
	check_sums(code, size);
	check_sums(mover_plain, (size_t)(mover_plain_end - mover_plain));
}

typedef int64_t read_function(struct mover_sum *sum, uint64_t fd, const struct iovec *iov,
                              uint64_t n, uint64_t offset);

/* Iovecs of all lengths, one behind the other in memory that is not there yet, from an offset that is no piece's. */
static void check_read(read_function *fn, int file, bool summed)
{
	uint64_t hashes[2] = {};
	struct mover_sum s = { .hashes = (uint64_t)hashes };
	static struct iovec iov[200];
	size_t size = sizeof(data) - 100, n = 0;
	char *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	check(at != MAP_FAILED);
	for (size_t done = 0, step = 1; done < size; step = step * 7 % 1000003, n++) {
		iov[n] = (struct iovec){ at + done, step < size - done ? step : size - done };
		done += iov[n].iov_len;
	}
	check(n <= 200);
	check(fn(summed ? &s : NULL, (uint64_t)file, iov, n, 100) == 0);
	check(!memcmp(at, data + 100, size));
	check(!summed || (s.n == 1 && hashes[0] == XXH3_64bits(data + 100, HASH_PIECE) &&
	                  s.filled == size - HASH_PIECE));
	check(fn(NULL, (uint64_t)file, iov, n, 101) == -ENODATA);
	check(fn(NULL, 12345, iov, n, 0) == -EBADF);
	munmap(at, size);
}

TEST(a_task_reads_and_makes_the_checksum_on_the_way)
{
	size_t size;
	const char *code = mover_code(&size);
	char *fast = loaded(code, size),
	     *plain = loaded(mover_plain, (size_t)(mover_plain_end - mover_plain));
	int file = memfd_create("mover", 0);

	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 13 + i / 4096);
	check(write(file, data, sizeof(data)) == sizeof(data));
	for (int summed = 0; summed < 2; summed++) {
		check_read((read_function *)(fast + MOVER_READ), file, summed);
		check_read((read_function *)(plain + MOVER_READ), file, summed);
	}
	close(file);
}

/* The helper: descriptor 0 is the socket, 1 the file. */
static pid_t helper_start(char *code, int sock, int file)
{
	struct mover_desk *desk = mmap(NULL, sizeof(*desk), PROT_READ | PROT_WRITE,
	                               MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	void (*entry)(struct mover_desk *) = (void *)(code + MOVER_WRITE);
	pid_t pid;

	check(desk != MAP_FAILED);
	pid = fork();
	if (pid == 0) {
		dup2(file, 100);
		dup2(sock, 0);
		dup2(100, 1);
		close_range(3, ~0U, 0);
		entry(desk);
	}
	return pid;
}

static struct mover_answer order(int sock, const struct mover_order *o)
{
	struct mover_answer a;

	check(write(sock, o, sizeof(*o)) == sizeof(*o));
	check(read(sock, &a, sizeof(a)) == sizeof(a));
	return a;
}

static bool is_left_out(const struct mover_answer *a, size_t page)
{
	return a->zeros[page / 64] >> page % 64 & 1;
}

/* Every second page of the first 1000 is zeros, and page 1200, which is wanted. */
TEST(a_helper_writes_what_is_not_zero)
{
	static struct mover_order o = { .n = 2 };
	size_t size;
	const char *code = mover_code(&size);
	int pair[2], file = memfd_create("mover", 0), status;
	struct mover_answer a;
	char *m = mmap(NULL, PAGES * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
	               0);
	char page[4096], *whole;
	pid_t pid;

	check(!socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) && file >= 0);
	for (size_t i = 0; i < PAGES; i++)
		if (i != 1200 && (i >= 1000 || i % 2))
			memset(m + i * 4096 + i % 4096, (int)i % 255 + 1, 1);
	pid = helper_start(loaded(code, size), pair[0], file);
	check(pid > 0);
	close(pair[0]);
	o.runs[0] = (struct mover_run){ (uint64_t)m, 1000 * 4096, 0 };
	o.runs[1] = (struct mover_run){ (uint64_t)m + 1200 * 4096, 24 * 4096, 1 };
	a = order(pair[1], &o);
	check(!a.error && a.written == (500 + 24) * 4096);
	for (size_t i = 0; i < 1024; i++)
		check(is_left_out(&a, i) == (i < 1000 && i % 2 == 0));
	o.n = 1;
	o.runs[0] = (struct mover_run){ (uint64_t)m + 1230 * 4096, 270 * 4096, 0 };
	a = order(pair[1], &o);
	check(!a.error && a.written == 270 * 4096);
	for (size_t i = 0; i < 500; i++)
		check(pread(file, page, 4096, (off_t)i * 4096) == 4096 &&
		      !memcmp(page, m + (2 * i + 1) * 4096, 4096));
	for (size_t i = 0; i < 24; i++)
		check(pread(file, page, 4096, (off_t)(500 + i) * 4096) == 4096 &&
		      !memcmp(page, m + (1200 + i) * 4096, 4096));
	whole = mmap(NULL, (500 + 24 + 270) * 4096, PROT_READ, MAP_SHARED, file, 0);
	check(!memcmp(whole + (500 + 24) * 4096, m + 1230 * 4096, 270 * 4096));
	o.n = 0;
	a = order(pair[1], &o);
	check(a.hash == hash_of(whole, (500 + 24 + 270) * 4096));
	check(waitpid(pid, &status, 0) == pid && status == 0);
}

/* What the kernel may take (MADV_FREE) is zeros from then on: whenever that is, the checksum is that of the file. */
TEST(pages_that_vanish_meanwhile)
{
	static struct mover_order o;
	size_t size, bytes = MOVER_BYTES;
	const char *code = mover_code(&size);
	int pair[2], file = memfd_create("mover", 0), status;
	char *m = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	uint64_t written = 0;
	struct mover_answer a;
	void *whole;
	pid_t pid;

	check(!socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) && file >= 0);
	pid = helper_start(loaded(code, size), pair[0], file);
	check(m != MAP_FAILED && pid > 0);
	close(pair[0]);
	for (int round = 0; round < 64; round++) {
		memset(m, round + 1, bytes);
		o.n = 1;
		o.runs[0] = (struct mover_run){ (uint64_t)m, bytes, round % 3 == 2 };
		check(write(pair[1], &o, sizeof(o)) == sizeof(o));
		for (size_t at = (size_t)round % 16 * bytes / 32; at < bytes; at += 3 * 4096)
			check(madvise(m + at, 4096, MADV_REMOVE) == 0);
		check(read(pair[1], &a, sizeof(a)) == sizeof(a) && !a.error);
		written += a.written;
	}
	o.n = 0;
	a = order(pair[1], &o);
	check(waitpid(pid, &status, 0) == pid && status == 0);
	check(lseek(file, 0, SEEK_END) == (off_t)written);
	whole = mmap(NULL, written, PROT_READ, MAP_SHARED, file, 0);
	check(a.hash == hash_of(whole, written));
	munmap(whole, written);
	munmap(m, bytes);
	close(file);
}

TEST(a_write_that_fails_is_told)
{
	static struct mover_order o = { .n = 1 };
	size_t size;
	const char *code = mover_code(&size);
	int pair[2], file = open("/dev/full", O_WRONLY), status;
	pid_t pid;

	check(!socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) && file >= 0);
	pid = helper_start(loaded(code, size), pair[0], file);
	close(pair[0]);
	o.runs[0] = (struct mover_run){ (uint64_t)data & ~UINT64_C(4095), 8192, 1 };
	check(order(pair[1], &o).error == -ENOSPC);
	close(pair[1]); /* nobody gives orders any more */
	check(waitpid(pid, &status, 0) == pid && status == 0);
}
