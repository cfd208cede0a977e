/*
 * Options are compared with those of a new socket, made once for each family,
 * type and protocol. What an image does not hold is as the restoring kernel
 * has it for new sockets.
 *
 * SO_ERROR is never asked for: reading it clears it.
 */
#include "dump/sockopt.h"

#include <errno.h>
#include <linux/filter.h>
#include <string.h>
#include <sys/socket.h>

#include "lib/cleanup.h"
#include "lib/log.h"
#include "lib/sockopt.h"

struct value {
	int size; /* or -errno: there is none */
	char data[SOCKOPT_MAX];
};

/* What a new socket has, by line of the table. */
struct usual {
	int family, type, protocol;
	struct value *values;
};

struct sockopt_usual {
	ARRAY(struct usual) all;
};

static void value_read(int fd, const struct sockopt *o, struct value *ret)
{
	socklen_t len = sizeof(ret->data);

	memset(ret, 0, sizeof(*ret));
	if (o->how > HOW_REFUSED || o->how == HOW_FILTER)
		ret->size = -ENOPROTOOPT;
	else if (getsockopt(fd, (int)o->level, (int)o->name, ret->data, &len) < 0)
		ret->size = -errno;
	else
		ret->size = (int)len;
}

/* ---- new sockets ---- */

static int usual_read(struct usual *u)
{
	auto_close int fresh = socket(u->family, u->type | SOCK_CLOEXEC, u->protocol);

	if (fresh < 0)
		return -errno;
	u->values = calloc(nsockopts, sizeof(*u->values));
	if (!u->values)
		return -ENOMEM;
	for (size_t i = 0; i < nsockopts; i++)
		value_read(fresh, &sockopts[i], &u->values[i]);
	return 0;
}

static struct usual *usual_known(const struct dump *d, const struct file *f)
{
	if (d->sockopt_usual)
		array_each (known, &d->sockopt_usual->all)
			if (known->family == f->sock.family && known->type == f->sock.type &&
			    known->protocol == f->sock.protocol)
				return known;
	return NULL;
}

static int usual_find(struct dump *d, const struct file *f, const struct value **ret)
{
	struct usual *u = usual_known(d, f);
	int r = 0;

	if (!u) {
		if (!d->sockopt_usual)
			d->sockopt_usual = calloc(1, sizeof(*d->sockopt_usual));
		u = d->sockopt_usual ? array_add(&d->sockopt_usual->all) : NULL;
		if (!u)
			return -ENOMEM;
		*u = (struct usual){ f->sock.family, f->sock.type, f->sock.protocol, NULL };
		r = usual_read(u);
	}
	*ret = u->values;
	return r < 0 ? r : u->values ? 0 : -EIO;
}

void sockopts_forget(struct dump *d)
{
	if (!d->sockopt_usual)
		return;
	array_each (u, &d->sockopt_usual->all)
		free(u->values);
	array_done(&d->sockopt_usual->all);
	free(d->sockopt_usual);
	d->sockopt_usual = NULL;
}

/* ---- one socket ---- */

int sockopts_add(struct sockopts *into, uint32_t level, uint32_t name, const void *value,
                 size_t size)
{
	void *copy = malloc(size + 1);
	Img__SockOpts__Value *v = copy ? array_add(&into->all) : NULL;

	if (!v) {
		free(copy);
		return -ENOMEM;
	}
	img__sock_opts__value__init(v);
	v->level = level;
	v->name = name;
	v->value.data = memcpy(copy, value, size);
	v->value.len = size;
	return 0;
}

/* Its length is counted in instructions, both ways. */
static int filter_read(const struct file *f, int fd, const struct sockopt *o, struct sockopts *into)
{
	struct sock_filter program[BPF_MAXINSNS];
	socklen_t len = BPF_MAXINSNS;

	if (getsockopt(fd, SOL_SOCKET, SO_GET_FILTER, program, &len) < 0)
		return errno == EACCES ? fail(-ENOTSUP,
		                              "%s: an eBPF program filters what it receives "
		                              "(SO_ATTACH_BPF): not supported by this version",
		                              file_name(f))
		                       : fail(-errno, "%s: SO_GET_FILTER", file_name(f));
	return len ? sockopts_add(into, o->level, o->name, program, len * sizeof(*program)) : 0;
}

static int option_read(const struct file *f, int fd, const struct sockopt *o,
                       const struct value *usual, struct sockopts *into)
{
	struct value v;

	if (o->how == HOW_FILTER)
		return filter_read(f, fd, o, into);
	/* What a new one has not, none has. */
	if (usual->size == -EOPNOTSUPP || usual->size == -ENOPROTOOPT)
		return 0;
	value_read(fd, o, &v);
	if (v.size < 0 || (v.size == usual->size && !memcmp(v.data, usual->data, (size_t)v.size)))
		return 0;
	if (o->how == HOW_REFUSED)
		return fail(-ENOTSUP, "%s: it has %s set: not supported by this version",
		            file_name(f), o->text);
	if (o->type == SOCKOPT_STRING)
		v.size = (int)strnlen(v.data, (size_t)v.size);
	if (!sockopt_fits(o->type, (size_t)v.size))
		return fail(-EPROTO, "%s: %s has a value of %d bytes", file_name(f), o->text,
		            v.size);
	return sockopts_add(into, o->level, o->name, v.data, (size_t)v.size);
}

int sockopts_read(struct dump *d, const struct file *f, int fd, uint32_t level,
                  struct sockopts *into)
{
	const struct value *usual;
	int r = usual_find(d, f, &usual);

	if (r < 0)
		return fail(r, "%s: what a new socket of its kind has", file_name(f));
	for (size_t i = 0; i < nsockopts && r == 0; i++)
		if (sockopts[i].level == level && sockopts[i].how <= HOW_REFUSED)
			r = option_read(f, fd, &sockopts[i], &usual[i], into);
	return r;
}

Img__SockOpts *sockopts_message(struct sockopts *opts)
{
	free(opts->list);
	opts->list = calloc(opts->all.n + 1, sizeof(*opts->list));
	if (!opts->list)
		return NULL;
	for (size_t i = 0; i < opts->all.n; i++)
		opts->list[i] = &opts->all.v[i];
	img__sock_opts__init(&opts->msg);
	opts->msg.n_value = opts->all.n;
	opts->msg.value = opts->list;
	return &opts->msg;
}

void sockopts_done(struct sockopts *opts)
{
	array_each (v, &opts->all)
		free(v->value.data);
	array_done(&opts->all);
	free(opts->list);
	opts->list = NULL;
}
