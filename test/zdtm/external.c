/*
 * Standard input comes from outside; after the restore it is something else.
 *
 *	external pipe      the test gives it
 *	external socket    the other end is in the process that forks us; our pid goes to the file "pid"
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "zdtm.h"

/* The other end stays in our parent, until we end. */
static void from_socket(void)
{
	int sv[2];
	pid_t child;
	FILE *f;
	char c;

	check(socketpair(AF_UNIX, SOCK_STREAM, 0, sv) == 0);
	child = fork();
	check(child >= 0);
	if (child) {
		f = fopen("pid", "w");
		check(f && fprintf(f, "%d\n", child) > 0 && fclose(f) == 0);
		close(sv[0]);
		check(read(sv[1], &c, 1) <= 0);
		_exit(0);
	}
	check(setsid() > 0 && dup2(sv[0], 0) == 0);
	close(sv[0]);
	close(sv[1]);
}

int main(int argc, char **argv)
{
	struct stat st;
	char c;

	check(argc == 2);
	if (!strcmp(argv[1], "socket"))
		from_socket();
	/* The number that the test gives its own descriptor is in use here. */
	check(fcntl(1, F_DUPFD, 9) == 9);

	zdtm_park();

	check(fstat(9, &st) == 0 && S_ISREG(st.st_mode));
	check(fstat(0, &st) == 0);
	if (!strcmp(argv[1], "socket"))
		check(S_ISSOCK(st.st_mode));
	else
		check(read(0, &c, 1) == 1 && c == 'x' && read(0, &c, 1) == 1 &&
		      read(0, &c, 1) == 0);
	return zdtm_pass();
}
