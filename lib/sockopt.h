/* The table of socket options (lib/sockopt.def): what they are and how they are treated. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum sockopt_type {
	SOCKOPT_INT,
	SOCKOPT_PAIR, /* two of them: struct sock_txtime, struct so_timestamping */
	SOCKOPT_U64,
	SOCKOPT_LINGER,
	SOCKOPT_TIMEVAL,
	SOCKOPT_STRING, /* without its NUL */
	SOCKOPT_BYTES,  /* a structure of the level's own, at most SOCKOPT_MAX */
	SOCKOPT_FILTER, /* struct sock_filter[] */
	SOCKOPT_DEVICE, /* struct in_addr or struct ip_mreqn */
};

#define SOCKOPT_MAX 256 /* bytes of a value; a filter may be larger */

enum sockopt_how { /* as in lib/sockopt.def; those that are carried first */
	           HOW_EARLY,
	           HOW_LATE,
	           HOW_BUFFER,
	           HOW_FILTER,
	           HOW_UNSEEN,
	           HOW_REFUSED,
	           HOW_STATE,
	           HOW_ALIAS,
	           HOW_ACTION,
};

struct sockopt {
	uint32_t level, name;
	enum sockopt_type type;
	enum sockopt_how how;
	const char *text; /* "SO_KEEPALIVE" */
};

extern const struct sockopt sockopts[];
extern const size_t nsockopts;

/* The line of that option; NULL: there is none. */
const struct sockopt *sockopt_find(uint32_t level, uint32_t name);

/* Can a value of this type have that size? */
bool sockopt_fits(enum sockopt_type type, size_t size);

/*
 * An option that was changed for a moment gets the VALUE that it had: what fails for a moment, as for want of memory,
 * is tried again, as nobody else would do it. 0 or -errno.
 */
int sockopt_put_back(int fd, int level, int name, int value);

/* Is it written into images? */
static inline bool sockopt_carried(const struct sockopt *o)
{
	return o->how <= HOW_UNSEEN;
}
