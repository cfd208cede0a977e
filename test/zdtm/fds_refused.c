/* Descriptors of kinds that no room owns, one of each. "tree": and a child that has one more. */
#include <linux/netlink.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "zdtm.h"

/* Its pid goes to the file "child". */
static void fork_child(void)
{
	pid_t pid = fork();
	FILE *f;

	check(pid >= 0);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		check(syscall(SYS_fsopen, "tmpfs", 0) == 7);
		zdtm_park();
		_exit(0);
	}
	f = fopen("child", "w");
	check(f && fprintf(f, "%d\n", pid) > 0 && fclose(f) == 0);
}

int main(int argc, char **argv)
{
	int packet = socket(AF_INET, SOCK_PACKET, 0);
	int netlink = socket(AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER);

	check(packet >= 0);
	check(netlink >= 0);
	check(syscall(SYS_fsopen, "tmpfs", 0) >= 0);
	check(syscall(SYS_fsopen, "tmpfs", 0) >= 0); /* looks as the one before */
	if (argc > 1)
		fork_child();
	else
		zdtm_parked();
	while (!zdtm_released())
		zdtm_nap();
	return zdtm_pass();
}
