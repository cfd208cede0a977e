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
#include "lib/fd.h"
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

	/* Some structures are read before they are written. */
	if (o->type == SOCKOPT_BYTES)
		memset(ret->data, 0, sizeof(ret->data));
	if (o->how > HOW_REFUSED || o->how == HOW_FILTER || o->how == HOW_UNSEEN)
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
	for (size_t i = 0; i < nsockopts; i++) {
		value_read(fresh, &sockopts[i], &u->values[i]);
		if (error_passes(u->values[i].size))
			return u->values[i].size;
	}
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

/* Before which of them a value of that option comes, in the order of the table. */
static size_t place_of(const struct sockopts *opts, uint32_t level, uint32_t name)
{
	const struct sockopt *own = sockopt_find(level, name);
	size_t i = 0;

	while (i < opts->all.n &&
	       (opts->all.v[i].level != level || sockopt_find(level, opts->all.v[i].name) < own))
		i++;
	return i;
}

int sockopts_put(struct sockopts *into, uint32_t level, uint32_t name, const void *value,
                 size_t size)
{
	Img__SockOpts__Value added;
	size_t at;
	int r;

	sockopts_drop(into, level, name);
	at = place_of(into, level, name);
	r = sockopts_add(into, level, name, value, size);
	if (r < 0)
		return r;
	added = into->all.v[into->all.n - 1];
	memmove(into->all.v + at + 1, into->all.v + at,
	        (into->all.n - 1 - at) * sizeof(*into->all.v));
	into->all.v[at] = added;
	return 0;
}

/* Its length is counted in instructions, both ways. -EACCES: it is one of eBPF. */
static int filter_read(int fd, const struct sockopt *o, struct sockopts *into)
{
	struct sock_filter program[BPF_MAXINSNS];
	socklen_t len = BPF_MAXINSNS;

	if (getsockopt(fd, SOL_SOCKET, SO_GET_FILTER, program, &len) < 0)
		return -errno;
	return len ? sockopts_add(into, o->level, o->name, program, len * sizeof(*program)) : 0;
}

static void value_find(int fd, const struct sockopt *o, const struct sockopt_source *source,
                       struct value *ret)
{
	ret->size = source ? source->value(source->arg, o->level, o->name, ret->data) : -ENODATA;
	if (ret->size == -ENODATA)
		value_read(fd, o, ret);
}

/* -ENOTSUP: it is set, and cannot be carried. -EPROTO: its value is of no known size. */
static int option_read(int fd, const struct sockopt *o, const struct value *usual,
                       const struct sockopt_source *source, struct sockopts *into)
{
	struct value v;

	if (o->how == HOW_FILTER)
		return source && source->value(source->arg, o->level, o->name, NULL) == -ENOENT
		               ? 0
		               : filter_read(fd, o, into);
	/* What a new one has not, none has. */
	if (usual->size == -EOPNOTSUPP || usual->size == -ENOPROTOOPT)
		return 0;
	value_find(fd, o, source, &v);
	if (error_passes(v.size))
		return v.size;
	if (v.size < 0 || (v.size == usual->size && !memcmp(v.data, usual->data, (size_t)v.size)))
		return 0;
	if (o->how == HOW_REFUSED)
		return -ENOTSUP;
	if (o->type == SOCKOPT_STRING)
		v.size = (int)strnlen(v.data, (size_t)v.size);
	if (!sockopt_fits(o->type, (size_t)v.size))
		return -EPROTO;
	return sockopts_add(into, o->level, o->name, v.data, (size_t)v.size);
}

static int filter_refuse(const struct file *f)
{
	return fail(-ENOTSUP,
	            "%s: an eBPF program filters what it receives (SO_ATTACH_BPF): not supported "
	            "by this version",
	            file_name(f));
}

int sockopts_filter_check(const struct file *f, int fd)
{
	bool ebpf = getsockopt(fd, SOL_SOCKET, SO_GET_FILTER, NULL, &(socklen_t){ 0 }) < 0 &&
	            errno == EACCES;

	return ebpf ? filter_refuse(f) : 0;
}

static int explain(const struct file *f, const struct sockopt *o, int r)
{
	if (r == -EACCES && o->how == HOW_FILTER)
		return filter_refuse(f);
	if (r == -ENOTSUP)
		return fail(r, "%s: it has %s set: not supported by this version", file_name(f),
		            o->text);
	if (r == -EPROTO)
		return fail(r, "%s: %s has a value of an unknown size", file_name(f), o->text);
	return fail(r, "%s: ask for %s", file_name(f), o->text);
}

/* What the line before tells of all stamps is nothing: then this tells nothing, too. */
static bool is_told(const struct sockopt *o)
{
	return o->level == SOL_SOCKET && o->name == 65 /* SO_TIMESTAMPING_NEW */;
}

/* The option that cannot be had is in *RET_BAD. */
static int level_read(int fd, uint32_t level, const struct value *usual,
                      const struct sockopt_source *source, struct sockopts *into,
                      const struct sockopt **ret_bad)
{
	size_t before = 0;

	for (size_t i = 0; i < nsockopts; i++) {
		const struct sockopt *o = &sockopts[i];
		int r = 0;

		if (o->level != level || o->how > HOW_REFUSED || o->how == HOW_UNSEEN ||
		    (is_told(o) && into->all.n == before))
			continue;
		before = into->all.n;
		r = option_read(fd, o, &usual[i], source, into);
		if (r < 0) {
			*ret_bad = o;
			return r;
		}
	}
	return 0;
}

int sockopts_refused(struct dump *d, const struct file *f, int fd, uint32_t level)
{
	auto_(sockopts_done) struct sockopts none = {};
	int r = sockopts_prepare(d, f);

	for (size_t i = 0; i < nsockopts && r == 0; i++) {
		const struct sockopt *o = &sockopts[i];

		if (o->level != level || o->how != HOW_REFUSED)
			continue;
		r = option_read(fd, o, &usual_known(d, f)->values[i], NULL, &none);
		if (r < 0)
			return explain(f, o, r);
	}
	return r;
}

int sockopts_prepare(struct dump *d, const struct file *f)
{
	const struct value *usual;
	int r = usual_find(d, f, &usual);

	return r < 0 ? fail(r, "%s: what a new socket of its kind has", file_name(f)) : 0;
}

int sockopts_try(const struct dump *d, const struct file *f, int fd, uint32_t level,
                 const struct sockopt_source *source, struct sockopts *into)
{
	const struct usual *u = usual_known(d, f);
	const struct sockopt *bad;

	return u && u->values ? level_read(fd, level, u->values, source, into, &bad) : -EAGAIN;
}

int sockopts_read(struct dump *d, const struct file *f, int fd, uint32_t level,
                  struct sockopts *into)
{
	return sockopts_read_from(d, f, fd, level, NULL, into);
}

int sockopts_read_from(struct dump *d, const struct file *f, int fd, uint32_t level,
                       const struct sockopt_source *source, struct sockopts *into)
{
	const struct sockopt *bad = NULL;
	int r = sockopts_prepare(d, f);

	if (r < 0)
		return r;
	r = level_read(fd, level, usual_known(d, f)->values, source, into, &bad);
	return r < 0 ? explain(f, bad, r) : 0;
}

int sockopts_int(const struct sockopts *opts, uint32_t level, uint32_t name, int usual)
{
	array_each (v, &opts->all)
		if (v->level == level && v->name == name && v->value.len == sizeof(usual))
			memcpy(&usual, v->value.data, sizeof(usual));
	return usual;
}

void sockopts_drop(struct sockopts *opts, uint32_t level, uint32_t name)
{
	size_t kept = 0;

	array_each (v, &opts->all) {
		if (v->level == level && v->name == name)
			free(v->value.data);
		else
			opts->all.v[kept++] = *v;
	}
	opts->all.n = kept;
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
