/* POSIX, OFD and flock locks are held, and seen by others as they were. */
#include <errno.h>
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <unistd.h>

#include "zdtm.h"

static struct flock range(short type, off_t start, off_t len)
{
	return (struct flock){ .l_type = type, .l_start = start, .l_len = len };
}

/* What stands in the way of a lock on all of the file through FD? */
static struct flock in_the_way(int fd)
{
	struct flock l = range(F_WRLCK, 0, 0);

	check(fcntl(fd, F_OFD_GETLK, &l) == 0);
	return l;
}

int main(void)
{
	int posix = open("posix", O_RDWR | O_CREAT, 0600),
	    ofd = open("ofd", O_RDWR | O_CREAT, 0600);
	int whole = open("whole", O_RDWR | O_CREAT, 0600), other, dup_of, event, ends[2];
	struct flock l;

	l = range(F_RDLCK, 1073741826, 510);
	check(fcntl(posix, F_SETLK, &l) == 0);
	l = range(F_WRLCK, 7, 0);
	check(fcntl(ofd, F_OFD_SETLK, &l) == 0);
	check(flock(whole, LOCK_EX) == 0);
	dup_of = dup(posix);
	check(dup_of >= 0);
	/* what has lines of its own in fdinfo */
	event = eventfd(5, 0);
	check(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
	check(flock(event, LOCK_SH) == 0 && flock(ends[0], LOCK_EX) == 0);

	zdtm_park();

	other = open("posix", O_RDWR);
	l = in_the_way(other);
	check(l.l_type == F_RDLCK && l.l_start == 1073741826 && l.l_len == 510);
	check(l.l_pid == getpid());
	other = open("ofd", O_RDWR);
	l = in_the_way(other);
	check(l.l_type == F_WRLCK && l.l_start == 7 && l.l_len == 0 && l.l_pid == -1);
	l = range(F_WRLCK, 0, 7);
	check(fcntl(other, F_OFD_SETLK, &l) == 0);
	other = open("whole", O_RDWR);
	check(flock(other, LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK);
	check(flock(whole, LOCK_UN) == 0 && flock(other, LOCK_SH | LOCK_NB) == 0);
	return zdtm_pass();
}
