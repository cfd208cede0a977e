#include "lib/kernel.h"

#include <linux/capability.h>
#include <sys/syscall.h>
#include <unistd.h>

bool own_capability(int cap)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = {};

	return syscall(SYS_capget, &head, data) < 0 || data[cap / 32].effective & (1u << cap % 32);
}
