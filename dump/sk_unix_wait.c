/*
 * A connection that nobody has accepted yet has one end only, the client. What it has sent already tells
 * the memory of the kernel; where that cannot be read, and of a client that has closed, it is refused. A program that
 * accepts at all has done so a moment later: for that is waited before the freeze.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dump/kernel_memory.h"
#include "dump/sk_unix.h"
#include "lib/cleanup.h"
#include "lib/fd.h"
#include "lib/log.h"

#define STEP_MS 10
#define LOOK_MS 500 /* for those that wait */

/* ---- the listener ---- */

/* What cannot be carried of the client with that inode; NULL: nothing. */
static const char *problem_of(struct dump *d, uint32_t client)
{
	struct unix_sock sock;

	if (!client)
		return "a connection waits in it whose client has closed";
	if (unix_sock_find(d, client, &sock) < 0 || !sock.wqueue || kernel_memory(d))
		return NULL;
	return "a connection waits in it that has sent something";
}

static const char *problem(struct dump *d, uint32_t listener)
{
	const uint32_t *clients = NULL;
	uint32_t n = unix_sock_waiting(d, listener, &clients);
	const char *why = NULL;

	for (uint32_t i = 0; i < n && !why; i++)
		why = problem_of(d, clients[i]);
	return why;
}

/* Are they of the tree? */
static int check_clients(struct dump *d, const struct file *f, uint32_t listener)
{
	const uint32_t *clients = NULL;
	uint32_t n = unix_sock_waiting(d, listener, &clients);

	for (uint32_t i = 0; i < n; i++)
		if (clients[i] && !file_by_inode(d, f->st.st_dev, clients[i]) &&
		    unix_policy(d, &(struct unix_address){}) != UNIX_CLOSE)
			return fail(-ENOTSUP,
			            "%s (%s): the connection of %s, which is outside of the tree, "
			            "waits in it; --ext-unix=close lets it go",
			            file_name(f), file_describe(f), unix_holder(clients[i]));
	return 0;
}

int unix_waiting_check(struct dump *d, const struct file *f, const struct unix_sock *sock)
{
	struct unix_sock now = *sock;
	const char *why = problem(d, now.ino);

	for (int ms = 0; why && !d->frozen && ms < LOOK_MS; ms += STEP_MS) {
		usleep(STEP_MS * 1000);
		unix_socks_free(d);
		if (unix_sock_find(d, f->st.st_ino, &now) < 0)
			break;
		why = problem(d, now.ino);
	}
	if (why)
		return fail(
			-ENOTSUP,
			"%s (%s): %s: that cannot be seen before it is accepted; try again when "
			"it is",
			file_name(f), file_describe(f), why);
	return check_clients(d, f, now.ino);
}

/* ---- the client ---- */

/* The numbers that follow NAME in a status file, N of them from the one with number FIRST on. */
static uint32_t status_numbers(const char *status, const char *name, uint32_t first, uint32_t *ret,
                               uint32_t n)
{
	const char *at = strstr(status, name);
	uint32_t i = 0;
	char *end;

	for (at = at ? at + strlen(name) : ""; i < first + n; i++, at = end) {
		uint32_t value;

		at += strspn(at, " \t");
		value = (uint32_t)strtoul(at, &end, 10);
		if (end == at)
			break;
		if (i >= first)
			ret[i - first] = value;
	}
	return i > first ? i - first : 0;
}

/*
 * Whose connection waits to be accepted cannot be asked: it is taken to be who has the socket
 * open, as whom it runs now.
 */
static int creds_read(const struct file *f, struct unix_waiter *w)
{
	auto_free char *status = NULL;
	ssize_t n = file_read(f->task->proc, "status", &status);

	if (n < 0)
		return (int)n;
	w->groups = calloc(NGROUPS_MAX, sizeof(*w->groups));
	if (!w->groups)
		return -ENOMEM;
	img__sk_unix__creds__init(&w->creds);
	w->creds.pid = (uint32_t)f->task->pid;
	if (status_numbers(status, "\nUid:", 1, &w->creds.uid, 1) != 1 ||
	    status_numbers(status, "\nGid:", 1, &w->creds.gid, 1) != 1)
		return -EPROTO;
	w->creds.group = w->groups;
	w->creds.n_group = status_numbers(status, "\nGroups:", 0, w->groups, NGROUPS_MAX);
	return 0;
}

static int messages_make(struct unix_waiter *w)
{
	size_t n = w->ahead.all.n;

	w->messages = calloc(n + 1, sizeof(*w->messages));
	w->list = calloc(n + 1, sizeof(*w->list));
	if (!w->messages || !w->list)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		const struct unix_message *m = &w->ahead.all.v[i];

		img__sk_unix__message__init(&w->messages[i]);
		w->messages[i].data = (ProtobufCBinaryData){ m->size, m->data };
		w->messages[i].creds = &w->creds;
		w->list[i] = &w->messages[i];
	}
	return 0;
}

static int ahead_read(struct dump *d, const struct file *f, int fd, struct unix_waiter *w)
{
	const struct kmem *k = kernel_memory(d);
	int r = k ? unix_facts_read(k, fd, true, &w->ahead) : -EOPNOTSUPP;

	if (r < 0)
		return fail(r == -EOPNOTSUPP ? -ENOTSUP : r,
		            "%s (%s): what it has sent cannot be seen before it is accepted; try "
		            "again when it is",
		            file_name(f), file_describe(f));
	return messages_make(w);
}

int unix_waiter_read(struct dump *d, const struct file *f, int fd, uint32_t sent,
                     struct unix_waiter *w, Img__SkUnix *msg)
{
	int r = creds_read(f, w);

	if (r < 0)
		return fail(r, "%s: who connects by it", file_name(f));
	msg->creds = &w->creds;
	if (!sent)
		return 0;
	r = ahead_read(d, f, fd, w);
	msg->n_ahead = r < 0 ? 0 : w->ahead.all.n;
	msg->ahead = w->list;
	return r;
}

void unix_waiter_done(struct unix_waiter *w)
{
	free(w->groups);
	unix_facts_done(&w->ahead);
	free(w->messages);
	free(w->list);
}
