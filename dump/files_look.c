/*
 * Looking at descriptors as /proc shows them, many of them by several threads.
 *
 * fdinfo tells flags, position and mount, /proc/PID/fd where it leads. A socket leads nowhere, and all sockets are on
 * one mount, which only the kernel has: what is on that is taken over, and asked itself.
 *
 * While the tree runs, what is looked at serves for refusing alone: of many sockets those that the kernel
 * lists as connections of TCP are known by their inode, and nothing else is asked of them.
 */
#include "dump/files_look.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "dump/borrow.h"
#include "dump/sk_tcp_diag.h"
#include "dump/together.h"
#include "lib/cleanup.h"
#include "lib/fd.h"
#include "lib/log.h"
#include "lib/proc_facts.h"

#define LOOK_HELPERS 3
#define LIST_SIZE    8192
#define LOOK_MIN     128 /* descriptors for which a helper pays */

/* A directory of T in /proc; -errno. */
static int proc_dir(const struct task *t, const char *name)
{
	int fd = openat(t->proc, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

/* fdinfo is one record of a seq_file: what fits comes in one read(2). */
static int fdinfo_read(int dir, const char *name, char **ret)
{
	auto_close int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
	char text[1024];
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = read(fd, text, sizeof(text));
	if (n < 0)
		return -errno;
	if ((size_t)n == sizeof(text)) {
		n = file_read(dir, name, ret);
		return n < 0 ? (int)n : 0;
	}
	*ret = strndup(text, (size_t)n);
	return *ret ? 0 : -ENOMEM;
}

void file_done(struct file *f)
{
	closep(&f->kept);
	free(f->link);
	free(f->fdinfo);
}

/* -ENOTSOCK: it is something else by now. */
static int look_socket(struct dump *d, struct file *f)
{
	auto_close int fd = file_steal(f);

	if (fd < 0 || fstat(fd, &f->st) < 0)
		return fd < 0 ? fd : -errno;
	if (!S_ISSOCK(f->st.st_mode))
		return -ENOTSOCK;
	if (!tcp_diag_knows(d, f))
		file_ask_socket(f, fd);
	file_keep(d, f, &fd);
	free(f->link);
	return asprintf(&f->link, "socket:[%ju]", (uintmax_t)f->st.st_ino) < 0 ? -ENOMEM : 0;
}

static bool may_be_socket(const struct dump *d, const struct file *f)
{
	return d->sock_mnt && f->mnt_id == d->sock_mnt && !(f->flags & O_PATH);
}

/* Everything that is read of one descriptor, by several threads at once. */
static int file_look(struct dump *d, int fds, int infos, const char *name, struct file *f,
                     bool *ret_cloexec)
{
	uint64_t flags, mnt_id = 0;
	int r = fdinfo_read(infos, name, &f->fdinfo);

	if (r < 0)
		return r;
	if (!fdinfo_u64(f->fdinfo, "flags", 8, &flags) ||
	    !fdinfo_u64(f->fdinfo, "pos", 10, &f->pos))
		return -EPROTO;
	fdinfo_u64(f->fdinfo, "mnt_id", 10, &mnt_id);
	f->mnt_id = (uint32_t)mnt_id;
	f->flags = (uint32_t)flags & ~(uint32_t)O_CLOEXEC;
	snprintf(f->at, sizeof(f->at), "fd/%s", name);
	*ret_cloexec = flags & O_CLOEXEC;
	if (may_be_socket(d, f) && look_socket(d, f) == 0)
		return 0;
	r = f->link ? 0 : link_read(fds, name, &f->link);
	return r < 0 ? r : fstatat(fds, name, &f->st, 0) < 0 ? -errno : 0;
}

int file_look_one(struct dump *d, struct file *f, bool *ret_cloexec)
{
	auto_close int fds = proc_dir(f->task, "fd"), infos = proc_dir(f->task, "fdinfo");
	char name[16];

	snprintf(name, sizeof(name), "%d", f->fd);
	return fds < 0 ? fds : infos < 0 ? infos : file_look(d, fds, infos, name, f, ret_cloexec);
}

/* The number in "socket:[7]"; 0: it is none. */
static ino_t socket_ino(const char *link)
{
	return !strncmp(link, "socket:[", 8) ? strtoul(link + 8, NULL, 10) : 0;
}

/* A socket of a running task waits for what the kernel lists. */
static bool put_off(struct glance *g, const char *name, struct looked *l)
{
	if (g->d->frozen || link_read(g->fds, name, &l->file.link) < 0)
		return false;
	l->later = socket_ino(l->file.link) != 0;
	if (l->later)
		__atomic_add_fetch(&g->nlater, 1, __ATOMIC_RELAXED);
	return l->later;
}

/* One that was put off: the kernel has listed it, or it is looked at as all others are. */
static bool is_listed(struct glance *g, struct looked *l)
{
	struct file *f = &l->file;

	f->st = (struct stat){ .st_dev = g->d->sock_dev,
		               .st_ino = socket_ino(f->link),
		               .st_mode = S_IFSOCK | 0777 };
	f->mnt_id = g->d->sock_mnt;
	f->flags = O_RDWR;
	snprintf(f->at, sizeof(f->at), "fd/%d", f->fd);
	if (tcp_diag_knows(g->d, f))
		f->fdinfo = strdup("");
	if (!f->fdinfo)
		free(take_ptr(f->link));
	return f->fdinfo;
}

static void look_at(struct glance *g, struct looked *l)
{
	char name[16];

	if (l->known)
		return;
	snprintf(name, sizeof(name), "%d", l->file.fd);
	if (l->later ? is_listed(g, l) : put_off(g, name, l))
		return;
	l->error = file_look(g->d, g->fds, g->infos, name, &l->file, &l->cloexec);
}

static void *look_on(void *arg)
{
	struct glance *g = arg;
	size_t i;

	while ((i = __atomic_fetch_add(&g->next, 1, __ATOMIC_RELAXED)) < g->all.n)
		if (g->all.v[i].later == g->second)
			look_at(g, &g->all.v[i]);
	return NULL;
}

/* Some processors look at many descriptors, and who is traced may be looked at by every thread. */
static void look_at_all(struct glance *g)
{
	pthread_t helpers[LOOK_HELPERS];
	size_t n = 0, want = g->all.n / LOOK_MIN, cpus;

	cpus = want < 2 ? 1 : (size_t)sysconf(_SC_NPROCESSORS_ONLN); /* reads a file */
	want = want < cpus ? want : cpus;
	while (n + 1 < want && n < LOOK_HELPERS && !pthread_create(&helpers[n], NULL, look_on, g))
		n++;
	look_on(g);
	while (n > 0)
		pthread_join(helpers[--n], NULL);
}

void glance_done(struct glance *g)
{
	array_each (l, &g->all)
		file_done(&l->file);
	array_done(&g->all);
	closep(&g->fds);
	closep(&g->infos);
}

static struct looked *looked_add(struct glance *g, int fd)
{
	struct looked *l = array_add(&g->all);

	if (l)
		l->file = (struct file){ .task = g->task, .fd = fd, .kept = -1 };
	return l;
}

/* The same without a call, if the kernel has told of all tasks at once. *RET: how many are to be looked at. */
static int glance_told(struct glance *g, size_t *ret)
{
	*ret = 0;
	for (size_t i = 0; i < g->task->n_opens; i++) {
		const struct open_fact *open = &g->task->opens[i];
		struct looked *l = looked_add(g, (int)open->fd);

		if (!l)
			return -ENOMEM;
		l->cloexec = open->cloexec;
		l->known = together_file(g->d, open);
		*ret += !l->known;
	}
	return 0;
}

/* The kernel lists them by number, and what it lists it need not look up again: of each, fdinfo is read. */
static int glance_list(struct glance *g)
{
	char entries[LIST_SIZE] __attribute__((aligned(8)));
	ssize_t n;

	while ((n = getdents64(g->infos, entries, sizeof(entries))) > 0)
		for (ssize_t at = 0; at < n;) {
			const struct dirent64 *de = (const void *)(entries + at);

			at += de->d_reclen;
			if (de->d_name[0] != '.' &&
			    !looked_add(g, (int)strtol(de->d_name, NULL, 10)))
				return -ENOMEM;
		}
	return n < 0 ? -errno : 0;
}

static void *list_socks(void *d)
{
	tcp_diag_list(d);
	return NULL;
}

/* What the kernel lists of them and of sockets, at once. */
static int glance_lists(struct glance *g)
{
	bool wanted = g->d->frozen && g->d->many_socks, helped;
	pthread_t helper;
	int r;

	helped = wanted && pthread_create(&helper, NULL, list_socks, g->d) == 0;
	r = g->all.n ? 0 : glance_list(g);
	if (helped)
		pthread_join(helper, NULL);
	else if (wanted)
		list_socks(g->d);
	return r;
}

/* What mount sockets are on, as one of our own shows. */
static void find_sock_mnt(struct dump *d)
{
	auto_close int fd = d->sock_mnt ? -1 : socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	auto_close int infos = fd < 0 ? -1 : open("/proc/self/fdinfo", O_RDONLY | O_CLOEXEC);
	auto_free char *text = NULL;
	uint64_t mnt_id;
	struct stat st;
	char name[16];

	snprintf(name, sizeof(name), "%d", fd);
	if (infos >= 0 && fdinfo_read(infos, name, &text) == 0 &&
	    fdinfo_u64(text, "mnt_id", 10, &mnt_id) && fstat(fd, &st) == 0) {
		d->sock_mnt = (uint32_t)mnt_id;
		d->sock_dev = st.st_dev;
	}
}

/* Those that were put off. */
static void look_at_socks(struct glance *g)
{
	if (g->nlater >= LOOK_MIN) {
		g->d->many_socks = true;
		tcp_diag_list(g->d);
	}
	g->next = 0;
	g->second = true;
	look_at_all(g);
}

/* The directories are the user's own. */
static int explain_proc(const struct task *t, int r)
{
	return fail(r, "%s: open its descriptors in /proc%s", task_name(t),
	            r == -EACCES || r == -EPERM
	                    ? " (of other users' processes: needs CAP_DAC_OVERRIDE)"
	                    : "");
}

int glance_at(struct dump *d, struct task *t, struct glance *g)
{
	size_t unknown;
	int r;

	g->d = d;
	g->task = t;
	if (d->frozen && together_tells_files(t)) {
		r = glance_told(g, &unknown);
		if (r < 0 || !unknown)
			return r;
	}
	g->fds = proc_dir(t, "fd");
	g->infos = proc_dir(t, "fdinfo");
	if (g->fds < 0 || g->infos < 0)
		return explain_proc(t, g->fds < 0 ? g->fds : g->infos);
	find_sock_mnt(d);
	files_may_keep(d);
	r = glance_lists(g);
	if (r < 0)
		return fail(r, "%s: list its descriptors", task_name(t));
	look_at_all(g);
	if (g->nlater)
		look_at_socks(g);
	return 0;
}
