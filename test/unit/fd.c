/* lib/fd.h */
#include "lib/fd.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>

#include "unit.h"

static int file_with(const char *text, size_t size)
{
	int fd = memfd_create("unit", MFD_CLOEXEC);

	check(fd >= 0 && !write_full(fd, text, size) && !lseek(fd, 0, SEEK_SET));
	return fd;
}

TEST(a_file_that_ends_early_is_no_data)
{
	int fd = file_with("abc", 3);
	char buf[4] = "";

	check(!read_full(fd, buf, 3) && !memcmp(buf, "abc", 3));
	check(read_full(fd, buf, 1) == -ENODATA);
	check(!pread_full(fd, buf, 2, 1) && !memcmp(buf, "bc", 2));
	check(pread_full(fd, buf, 3, 1) == -ENODATA);
	check(!read_full(fd, buf, 0));
}

TEST(writing_at_an_offset_moves_nothing)
{
	int fd = file_with("abc", 3);
	char buf[3];

	check(!pwrite_full(fd, "X", 1, 1) && lseek(fd, 0, SEEK_CUR) == 0);
	check(!read_full(fd, buf, 3) && !memcmp(buf, "aXc", 3));
}

TEST(errors_are_negative_errno)
{
	char c;

	check(read_full(-1, &c, 1) == -EBADF && write_full(-1, "x", 1) == -EBADF);
}

static void nothing(int sig)
{
	(void)sig;
}

struct pipe_end {
	int fd;
	pthread_t reader;
};

/* Writes byte by byte, with a signal between. */
static void *trickle(void *arg)
{
	struct pipe_end *p = arg;

	for (char c = 'a'; c <= 'z'; c++) {
		pthread_kill(p->reader, SIGUSR1);
		check(write(p->fd, &c, 1) == 1);
	}
	return NULL;
}

TEST(signals_and_short_reads_are_not_seen)
{
	struct sigaction act = { .sa_handler = nothing };
	char buf[26];
	struct pipe_end p;
	pthread_t writer;
	int fd[2];

	check(!sigaction(SIGUSR1, &act, NULL) && !pipe2(fd, O_CLOEXEC));
	p.fd = fd[1];
	p.reader = pthread_self();
	check(!pthread_create(&writer, NULL, trickle, &p));
	check(!read_full(fd[0], buf, sizeof(buf)) && buf[25] == 'z');
	check(!pthread_join(writer, NULL));
}

TEST(files_of_unknown_size_are_read_whole)
{
	static char big[100000];
	char path[64], *text;
	int fd;

	memset(big, 'x', sizeof(big));
	fd = file_with(big, sizeof(big));
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	check(file_read(AT_FDCWD, path, &text) == (ssize_t)sizeof(big));
	check(strlen(text) == sizeof(big));
	free(text);
	check(file_read(AT_FDCWD, "/proc/self/status", &text) > 100 && strstr(text, "Name:"));
	free(text);
	check(file_read(AT_FDCWD, "/proc/self/none", &text) == -ENOENT);
}

TEST(links_are_read)
{
	char *target;

	check(!link_read(AT_FDCWD, "/proc/self/root", &target) && !strcmp(target, "/"));
	free(target);
	check(link_read(AT_FDCWD, "/proc/self/status", &target) == -EINVAL);
}
