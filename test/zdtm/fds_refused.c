/* Descriptors of kinds that no room owns, one of each. */
#include <arpa/inet.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "zdtm.h"

int main(void)
{
	struct sockaddr_in in = { .sin_family = AF_INET,
		                  .sin_port = htons(0),
		                  .sin_addr = { htonl(INADDR_LOOPBACK) } };
	int tcp = socket(AF_INET, SOCK_STREAM, 0), netlink = socket(AF_NETLINK, SOCK_RAW, 0);

	check(tcp >= 0 && bind(tcp, (struct sockaddr *)&in, sizeof(in)) == 0 &&
	      listen(tcp, 5) == 0);
	check(netlink >= 0);
	check(syscall(SYS_fsopen, "tmpfs", 0) >= 0);
	check(syscall(SYS_fsopen, "tmpfs", 0) >= 0); /* looks as the one before */
	zdtm_park();
	return zdtm_pass();
}
