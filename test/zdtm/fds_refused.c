/* Descriptors of kinds that no room owns, one of each. */
#include <linux/netlink.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "zdtm.h"

int main(void)
{
	int packet = socket(AF_INET, SOCK_PACKET, 0);
	int netlink = socket(AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER);

	check(packet >= 0);
	check(netlink >= 0);
	check(syscall(SYS_fsopen, "tmpfs", 0) >= 0);
	check(syscall(SYS_fsopen, "tmpfs", 0) >= 0); /* looks as the one before */
	zdtm_park();
	return zdtm_pass();
}
