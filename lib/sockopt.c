#include "lib/sockopt.h"

#include <errno.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "lib/array.h"

const struct sockopt sockopts[] = {
#define SOCKOPT(level, name, number, type, how) { level, number, SOCKOPT_##type, HOW_##how, #name },
#include "lib/sockopt.def"
#undef SOCKOPT
};
const size_t nsockopts = ARRAY_SIZE(sockopts);

#define TRIES 100

int sockopt_put_back(int fd, int level, int name, int value)
{
	int r = -1;

	for (int i = 0; r < 0 && i < TRIES; i++)
		r = setsockopt(fd, level, name, &value, sizeof(value));
	return r < 0 ? -errno : 0;
}

const struct sockopt *sockopt_find(uint32_t level, uint32_t name)
{
	for (size_t i = 0; i < nsockopts; i++)
		if (sockopts[i].level == level && sockopts[i].name == name)
			return &sockopts[i];
	return NULL;
}

bool sockopt_fits(enum sockopt_type type, size_t size)
{
	switch (type) {
	case SOCKOPT_INT:
		return size == sizeof(int);
	case SOCKOPT_PAIR:
	case SOCKOPT_U64:
		return size == sizeof(uint64_t);
	case SOCKOPT_LINGER:
		return size == sizeof(struct linger);
	case SOCKOPT_TIMEVAL:
		return size == sizeof(struct timeval);
	case SOCKOPT_FILTER:
		return size && size % sizeof(struct sock_filter) == 0 &&
		       size <= BPF_MAXINSNS * sizeof(struct sock_filter);
	case SOCKOPT_DEVICE:
		return size == sizeof(struct in_addr) || size == sizeof(struct ip_mreqn);
	default:
		return size <= SOCKOPT_MAX;
	}
}
