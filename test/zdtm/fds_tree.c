/*
 * Descriptors that processes share: an offset, a pipe between two, an eventfd,
 * and an epoll instance that a child adds its own files to.
 */
#include <fcntl.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "zdtm.h"

static int p[2], file, event, ep, own;

static void child(void)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.u64 = 42 };
	uint64_t v;
	char buf[8];

	check(close(p[1]) == 0);
	own = eventfd(0, 0);
	check(epoll_ctl(ep, EPOLL_CTL_ADD, own, &ev) == 0);
	check(dup2(own, 60) == 60);
	check(write(event, &(uint64_t){ 1 }, 8) == 8); /* ready */
	check(read(p[0], buf, 3) == 3 && buf[0] == 'o');
	check(lseek(file, 0, SEEK_CUR) == 6);
	check(write(own, &(uint64_t){ 9 }, 8) == 8);
	check(epoll_wait(ep, &ev, 1, 0) == 1 && ev.data.u64 == 42);
	check(read(60, &v, 8) == 8 && v == 9);
	check(read(p[0], buf, 1) == 0);
	_exit(7);
}

int main(void)
{
	uint64_t v;
	pid_t pid;
	int status;

	check(pipe(p) == 0);
	file = open("file", O_RDWR | O_CREAT, 0600);
	event = eventfd(0, 0);
	ep = epoll_create1(0);
	check(write(file, "0123456789", 10) == 10 && lseek(file, 4, SEEK_SET) == 4);
	pid = fork();
	if (pid == 0)
		child();
	check(read(event, &v, 8) == 8);

	zdtm_park();

	check(lseek(file, 2, SEEK_CUR) == 6);
	check(write(p[1], "one", 3) == 3);
	check(close(p[1]) == 0);
	check(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 7);
	return zdtm_pass();
}
