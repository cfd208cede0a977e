/*
 * Socket options, restore half. A buffer whose size is set is locked against the
 * kernel's own tuning; SO_BUF_LOCK (5.14) afterwards says which really were.
 */
#include "restore/sockopt.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/net_tstamp.h>
#include <string.h>
#include <sys/socket.h>

#include "lib/cleanup.h"
#include "lib/log.h"
#include "lib/sockopt.h"

#ifndef SO_BUF_LOCK
#define SO_BUF_LOCK 72
#endif

#define BUFFER_MAX (1 << 30)

#define STAMPING_NEW      65        /* SO_TIMESTAMPING_NEW */
#define STAMPS_OPT_ID_TCP (1 << 16) /* SOF_TIMESTAMPING_OPT_ID_TCP, 6.2 */

static bool level_in(const uint32_t *levels, size_t n, uint32_t level)
{
	for (size_t i = 0; i < n; i++)
		if (levels[i] == level)
			return true;
	return false;
}

int sockopts_check(const Img__File *file, const Img__SockOpts *opts, const uint32_t *levels)
{
	size_t n = 0;

	while (levels[n])
		n++;
	return sockopts_check_levels(file, opts, levels, n);
}

int sockopts_check_levels(const Img__File *file, const Img__SockOpts *opts, const uint32_t *levels,
                          size_t n)
{
	const struct sockopt *last = NULL;

	for (size_t i = 0; opts && i < opts->n_value; i++) {
		const Img__SockOpts__Value *v = opts->value[i];
		const struct sockopt *o = sockopt_find(v->level, v->name);

		if (!o || !sockopt_carried(o) || !level_in(levels, n, v->level))
			return fail(-EBADMSG, "file %u: socket option %u of level %u", file->id,
			            v->name, v->level);
		if (!sockopt_fits(o->type, v->value.len))
			return fail(-EBADMSG, "file %u: %s has a value of %zu bytes", file->id,
			            o->text, v->value.len);
		if (last && last->level == o->level && last >= o)
			return fail(-EBADMSG, "file %u: %s is not in order", file->id, o->text);
		last = o;
	}
	return 0;
}

const Img__SockOpts__Value *sockopts_find(const Img__SockOpts *opts, uint32_t level, uint32_t name)
{
	for (size_t i = 0; opts && i < opts->n_value; i++)
		if (opts->value[i]->level == level && opts->value[i]->name == name)
			return opts->value[i];
	return NULL;
}

static int int_set(int fd, int name, int value)
{
	return setsockopt(fd, SOL_SOCKET, name, &value, sizeof(value)) < 0 ? -errno : 0;
}

/* The kernel doubles what it is given, and without privilege cuts it off without a word. */
static int buffer_set(int fd, int name, int size)
{
	int now = 0;

	if (int_set(fd, name == SO_SNDBUF ? SO_SNDBUFFORCE : SO_RCVBUFFORCE, size / 2) == 0)
		return 0;
	if (int_set(fd, name, size / 2) < 0 ||
	    getsockopt(fd, SOL_SOCKET, name, &now, &(socklen_t){ sizeof(now) }) < 0)
		return -errno;
	return now < size / 2 * 2 ? -EPERM : 0;
}

static int program_set(int fd, const Img__SockOpts__Value *v)
{
	struct sock_fprog program = {
		.len = (unsigned short)(v->value.len / sizeof(struct sock_filter)),
		.filter = (struct sock_filter *)v->value.data,
	};

	return setsockopt(fd, SOL_SOCKET, (int)v->name, &program, sizeof(program)) < 0 ? -errno : 0;
}

/* Stamps of a connection that has ended are counted no more: to ask for that is refused, though it had been done. */
static int stamps_set(int fd, const struct sockopt *o, const Img__SockOpts__Value *v)
{
	uint32_t value[2];

	memcpy(value, v->value.data, sizeof(value));
	value[0] &= ~(uint32_t)(SOF_TIMESTAMPING_OPT_ID | STAMPS_OPT_ID_TCP);
	return setsockopt(fd, SOL_SOCKET, (int)o->name, value, sizeof(value)) < 0 ? -errno : 0;
}

static int bytes_set(int fd, const struct sockopt *o, const Img__SockOpts__Value *v)
{
	if (setsockopt(fd, (int)o->level, (int)o->name, v->value.data, (socklen_t)v->value.len) ==
	    0)
		return 0;
	if (errno == EINVAL && o->level == SOL_SOCKET &&
	    (o->name == SO_TIMESTAMPING || o->name == STAMPING_NEW))
		return stamps_set(fd, o, v);
	return -errno;
}

static int option_set(int fd, const struct sockopt *o, const Img__SockOpts__Value *v)
{
	int size;

	if (o->type == SOCKOPT_FILTER)
		return program_set(fd, v);
	if (o->how != HOW_BUFFER)
		return bytes_set(fd, o, v);
	memcpy(&size, v->value.data, sizeof(size));
	return buffer_set(fd, (int)o->name, size);
}

/* A size that the kernel chose itself stays its own to change. */
static int unlock(int fd, const Img__SockOpts *opts)
{
	int e;

	if (sockopts_find(opts, SOL_SOCKET, SO_BUF_LOCK) ||
	    (!sockopts_find(opts, SOL_SOCKET, SO_SNDBUF) &&
	     !sockopts_find(opts, SOL_SOCKET, SO_RCVBUF)))
		return 0;
	e = int_set(fd, SO_BUF_LOCK, 0);
	return e == -ENOPROTOOPT || e == -EOPNOTSUPP ? 0 : e;
}

int sockopts_set(const Img__File *file, int fd, const Img__SockOpts *opts, enum sockopts_when when)
{
	int e;

	for (size_t i = 0; opts && i < opts->n_value; i++) {
		const Img__SockOpts__Value *v = opts->value[i];
		const struct sockopt *o = sockopt_find(v->level, v->name);

		if ((o->how == HOW_EARLY) != (when == SOCKOPTS_EARLY))
			continue;
		e = option_set(fd, o, v);
		/* MPTCP has no way to set it; setting a size has locked it. */
		if (e == -EOPNOTSUPP && o->level == SOL_SOCKET && o->name == SO_BUF_LOCK)
			e = 0;
		if (e < 0)
			return fail(e, "socket %u: set %s", file->id, o->text);
	}
	e = when == SOCKOPTS_LATE ? unlock(fd, opts) : 0;
	return e < 0 ? fail(e, "socket %u: set SO_BUF_LOCK", file->id) : 0;
}

int sockopts_widen(int fd)
{
	if (int_set(fd, SO_SNDBUFFORCE, BUFFER_MAX) == 0)
		return 0;
	return int_set(fd, SO_SNDBUF, BUFFER_MAX);
}

int sockopts_unwiden(int fd, int name)
{
	int family, type, size;
	socklen_t len = sizeof(int);
	auto_close int fresh = -1;
	int e;

	if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &len) < 0 ||
	    getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) < 0)
		return -errno;
	fresh = socket(family, type | SOCK_CLOEXEC, 0);
	if (fresh < 0 || getsockopt(fresh, SOL_SOCKET, name, &size, &len) < 0)
		return -errno;
	e = buffer_set(fd, name, size);
	if (e == 0)
		e = int_set(fd, SO_BUF_LOCK, 0);
	return e == -ENOPROTOOPT ? 0 : e;
}
