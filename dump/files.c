/*
 * Descriptors and what is behind them. Two descriptors may share one open file
 * description (dup(2), fork(2)) or be opened apart; only kcmp(2) can tell, and
 * it also orders descriptions. So all descriptions are kept in a search tree,
 * ordered first by what they show (inode, flags, position ...), and only where
 * that is equal by kcmp(2): a descriptor costs five system calls (open, read and close of fdinfo, and
 * either readlink and fstatat or, of a socket, pidfd_getfd and fstat), and the logarithm of its look-alikes;
 * none of that where the kernel tells that it is one that was looked at before (together.h).
 *
 * While the task runs, a descriptor may be gone before it was looked at: what is
 * gathered then serves for refusing alone, for which look-alikes are the same
 * (unless all that is in the way is asked for), and is gathered anew once frozen.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/kcmp.h>
#include <search.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "dump/borrow.h"
#include "dump/dump.h"
#include "dump/files_look.h"
#include "dump/files_own.h"
#include "dump/sk_tcp_diag.h"
#include "dump/sk_unix_diag.h"
#include "dump/sockopt.h"
#include "dump/together.h"
#include "lib/cleanup.h"
#include "lib/fd.h"
#include "lib/log.h"

/* A node of d->fd_tree. */
struct fd_node {
	struct fd_key { /* no padding: compared as bytes */
		uint64_t dev, ino, pos, id;
		uint32_t flags, mnt_id;
	} key;
	bool alike; /* what shows the same is the same */
	pid_t pid;  /* of a live thread, for kcmp */
	int fd;
	size_t file; /* index in d->files */
	pid_t seen;  /* the task whose descriptor it was last */
	int *error;  /* of kcmp, in the node that is searched for */
};

/* A node of d->map_tree. */
struct map_node {
	uint64_t dev, ino;
	uint32_t flags;
	uint32_t id;
	char *name;
};

/* A node of d->pipe_tree. */
struct pipe_node {
	uint64_t dev, ino;
	uint32_t first, last; /* file ids */
};

pid_t task_tid(const struct task *t)
{
	array_each (th, &t->threads)
		if (!th->exited)
			return th->tid;
	return t->pid;
}

static int fd_node_compare(const void *a, const void *b)
{
	const struct fd_node *x = a, *y = b;
	int *error = x->error ? x->error : y->error;
	int r = memcmp(&x->key, &y->key, sizeof(x->key));

	if (r || x->alike || (x->pid == y->pid && x->fd == y->fd))
		return r;
	r = (int)syscall(SYS_kcmp, x->pid, y->pid, KCMP_FILE, x->fd, y->fd);
	if (r < 0 && error)
		*error = -errno;
	return r <= 0 ? r : r == 1 ? -1 : 1;
}

/* The node of the description F; a new one has no file yet (SIZE_MAX). */
static int fd_node_find(struct dump *d, const struct file *f, struct fd_node **ret)
{
	struct fd_node *node = malloc(sizeof(*node));
	struct fd_node **found;
	uint64_t id = 0;
	int error = 0;

	if (!node)
		return -ENOMEM;
	/* All anonymous inodes are one, only names differ; an eventfd and a terminal have a number of their own. */
	if (!fdinfo_u64(f->fdinfo, "eventfd-id", 10, &id) &&
	    !fdinfo_u64(f->fdinfo, "tty-index", 10, &id))
		id = strlen(f->link) > 12 ? (uint64_t)f->link[12] << 32 : 0; /* anon_inode:[x */
	*node = (struct fd_node){
		.key = { f->st.st_dev, f->st.st_ino, f->pos, id, f->flags, f->mnt_id },
		.pid = task_tid(f->task),
		.fd = f->fd,
		.alike = !d->frozen && !d->opt->all,
		.file = SIZE_MAX,
		.error = &error,
	};
	found = tsearch(node, &d->fd_tree, fd_node_compare);
	node->error = NULL;
	if (!found || *found != node)
		free(node);
	if (!found)
		return -ENOMEM;
	*ret = *found;
	return error;
}

static int pipe_node_compare(const void *a, const void *b)
{
	const struct pipe_node *x = a, *y = b;

	if (x->ino != y->ino)
		return x->ino < y->ino ? -1 : 1;
	return x->dev < y->dev ? -1 : x->dev > y->dev;
}

/* The ends of one pipe are a list. */
static int pipe_link(struct dump *d, struct file *f)
{
	struct pipe_node *node = malloc(sizeof(*node)), **found;

	if (!node)
		return -ENOMEM;
	*node = (struct pipe_node){ f->st.st_dev, f->st.st_ino, f->id, f->id };
	found = tsearch(node, &d->pipe_tree, pipe_node_compare);
	if (!found || *found != node)
		free(node);
	if (!found)
		return -ENOMEM;
	f->first = (*found)->first;
	if ((*found)->last != f->id)
		file_of(d, (*found)->last)->next = f->id;
	(*found)->last = f->id;
	return 0;
}

struct file *file_by_inode(struct dump *d, dev_t dev, ino_t ino)
{
	struct pipe_node key = { .dev = dev, .ino = ino }, **found;
	struct file *f;

	found = tfind(&key, &d->pipe_tree, pipe_node_compare);
	f = found ? file_of(d, (*found)->first) : NULL;
	return f && f->policy != FD_EXTERNAL ? f : NULL;
}

/* Of whom others on the same inode have to be known. What is open with O_PATH is no end of anything. */
static bool is_linked(const struct file *f)
{
	return (!(f->flags & O_PATH) && (S_ISFIFO(f->st.st_mode) || S_ISSOCK(f->st.st_mode))) ||
	       (f->room && f->room->maps_itself);
}

/* Append F, which is consumed. */
static int file_add(struct dump *d, struct file *f, size_t *ret_index)
{
	struct file *at = array_add(&d->files);

	if (!at)
		return -ENOMEM;
	f->id = (uint32_t)d->files.n;
	if (external_listed(d, f))
		f->policy = FD_EXTERNAL;
	if (!f->sock.family)
		file_steal_and_ask(d, f);
	f->room = dump_kind_of(f, &f->kind);
	*at = *f;
	f->kept = -1;
	f->link = f->fdinfo = NULL;
	d->watches |= strstr(at->fdinfo ?: "", "notify ") != NULL;
	d->opened_for |= strstr(at->fdinfo ?: "", "fanotify ") != NULL;
	*ret_index = d->files.n - 1;
	return is_linked(at) ? pipe_link(d, at) : 0;
}

bool file_alone(const struct dump *d, const struct file *f)
{
	size_t n = 0;

	array_each (t, &d->tasks) {
		bool has = false;

		array_each (e, &t->fds)
			has = has || e->file == f->id - 1;
		n += has && t->shares[TABLE_FILES] == t;
	}
	return n == 1;
}

/* The locks end the text (fs/proc/fd.c). */
static int locks_of(const struct file *f, char **ret)
{
	const char *at = strstr(f->fdinfo, "\nlock:");

	if (!at)
		return 0;
	*ret = strdup(at + 1);
	return *ret ? 0 : -ENOMEM;
}

static struct fd_entry *entry_add(struct task *t, int fd, bool cloexec, size_t file)
{
	struct fd_entry *entry = array_add(&t->fds);

	if (entry)
		*entry = (struct fd_entry){ .fd = fd, .cloexec = cloexec, .file = file };
	return entry;
}

static int fd_add(struct dump *d, struct task *t, struct looked *l)
{
	struct file *f = &l->file;
	auto_free char *locks = NULL;
	struct fd_node *node;
	struct fd_entry *entry;
	int number = f->fd, r = l->error;

	if (r == -ENOENT && !d->frozen)
		return 0;
	if (l->known)
		return entry_add(t, number, l->cloexec, l->known - 1) ? 0 : -ENOMEM;
	if (r == 0)
		r = locks_of(f, &locks);
	if (r == 0)
		r = fd_node_find(d, f, &node);
	if (r == 0 && node->file == SIZE_MAX)
		r = file_add(d, f, &node->file);
	else if (r == 0)
		file_unkeep(d, f); /* a duplicate */
	if (r < 0)
		return r == -ENAMETOOLONG
		               ? fail(-ENOTSUP, "%s: fd %d: " LINK_TOO_LONG, task_name(t), number)
		               : fail(r, "%s: fd %d: look at it", task_name(t), number);
	entry = entry_add(t, number, l->cloexec, node->file);
	if (!entry)
		return -ENOMEM;
	if (locks && node->seen != t->pid)
		entry->locks = take_ptr(locks);
	node->seen = t->pid;
	return together_add_file(d, t, number, node->file + 1);
}

static void fds_forget(struct task *t)
{
	array_each (e, &t->fds)
		free(e->locks);
	t->fds.n = 0;
}

int files_gather(struct dump *d, struct task *t)
{
	auto_(glance_done) struct glance g = GLANCE_NONE;
	int r;

	fds_forget(t);
	if (t->state == TASK_ZOMBIE)
		return 0;
	r = glance_at(d, t, &g);
	for (size_t i = 0; i < g.all.n && r == 0; i++)
		r = fd_add(d, t, &g.all.v[i]);
	if (!d->frozen)
		files_make_room(d);
	return r;
}

/* ---- mapped files ---- */

static int map_node_compare(const void *a, const void *b)
{
	const struct map_node *x = a, *y = b;

	if (x->ino != y->ino)
		return x->ino < y->ino ? -1 : 1;
	if (x->dev != y->dev)
		return x->dev < y->dev ? -1 : 1;
	if (x->flags != y->flags)
		return x->flags < y->flags ? -1 : 1;
	return strcmp(x->name, y->name);
}

static void map_node_free(void *p)
{
	struct map_node *node = p;

	free(node->name);
	free(node);
}

/* The node of the mapping V; a new one has no id yet (0). */
static int map_node_find(struct dump *d, const struct vma *v, struct map_node **ret)
{
	bool writable = v->shared && (v->flags & (VMF(wr) | VMF(mw)));
	struct map_node key = {
		.dev = v->dev,
		.ino = v->ino,
		.flags = writable ? O_RDWR : O_RDONLY,
		.name = v->name,
	};
	struct map_node **found = tfind(&key, &d->map_tree, map_node_compare);

	if (!found) {
		struct map_node *node = malloc(sizeof(*node));

		if (!node)
			return -ENOMEM;
		*node = key;
		node->name = strdup(v->name);
		found = node->name ? tsearch(node, &d->map_tree, map_node_compare) : NULL;
		if (!found) {
			map_node_free(node);
			return -ENOMEM;
		}
	}
	*ret = *found;
	return 0;
}

/* What the link in map_files says, too, unless something in it is escaped (show_map_vma() of fs/proc/task_mmu.c). */
static const char *name_of(const struct vma *v)
{
	return *v->name == '/' && !strchr(v->name, '\\') ? v->name : NULL;
}

/* By its name, if that leads to the very inode; where stat(2) has other numbers than maps (btrfs) it is not seen. */
static bool look_by_name(const struct vma *v, struct stat *ret)
{
	return name_of(v) && lstat(v->name, ret) == 0 && ret->st_dev == v->dev &&
	       ret->st_ino == v->ino;
}

/* The file at AT below /proc/PID, which is no descriptor; V: it is that of this mapping, or NULL. */
static int mapped_add(struct dump *d, struct task *t, const char *at, const struct vma *v,
                      uint32_t flags, uint32_t *ret_id)
{
	const char *link = v ? name_of(v) : NULL;
	auto_(file_done) struct file f = { .task = t, .fd = -1, .flags = flags, .kept = -1 };
	size_t index;
	int r;

	snprintf(f.at, sizeof(f.at), "%s", at);
	if (link)
		f.link = strdup(link);
	r = link ? (f.link ? 0 : -ENOMEM) : link_read(t->proc, at, &f.link);
	f.leads = r == 0 && v && look_by_name(v, &f.st);
	if (r == 0 && link && !f.leads) { /* it may have been given another name since */
		free(take_ptr(f.link));
		r = link_read(t->proc, at, &f.link);
	}
	if (r == 0 && !f.leads && fstatat(t->proc, at, &f.st, 0) < 0)
		r = -errno;
	if (r == 0)
		r = file_add(d, &f, &index);
	if (r < 0)
		return r;
	*ret_id = (uint32_t)index + 1;
	return 0;
}

/* Who must not look into map_files opens the file at its path. */
static int named_add(struct dump *d, const struct task *t, const struct vma *v, uint32_t flags,
                     uint32_t *ret_id)
{
	char at[32];
	int fd = own_open_mapped(d, t, v);

	if (fd < 0)
		return fd;
	snprintf(at, sizeof(at), "fd/%d", fd);
	return mapped_add(d, d->own, at, NULL, flags, ret_id);
}

static int node_add(struct dump *d, struct task *t, const struct vma *v, struct map_node *node)
{
	char at[64];
	int r;

	snprintf(at, sizeof(at), "map_files/%" PRIx64 "-%" PRIx64, v->start, v->end);
	r = mapped_add(d, t, at, v, node->flags, &node->id);
	if (r == -EPERM)
		return named_add(d, t, v, node->flags, &node->id);
	return r < 0 ? fail(r, "%s: /proc/%d/%s: look at its file", task_name(t), t->pid, at) : 0;
}

int files_add_mapped(struct dump *d, struct task *t, const struct vma *v, uint32_t *ret_file_id)
{
	struct map_node *node;
	int r = map_node_find(d, v, &node);

	if (r == 0 && !node->id)
		r = node_add(d, t, v, node);
	if (r == 0)
		*ret_file_id = node->id;
	return r;
}

int files_add_exe(struct dump *d, struct task *t, uint32_t *ret_file_id)
{
	int r = mapped_add(d, t, "exe", NULL, O_RDONLY, ret_file_id);

	return r < 0 ? fail(r, "%s: look at its executable", task_name(t)) : 0;
}

/* ---- files that the tree holds without having them open ---- */

/* Kept open until files_done(). */
static int own_keep(struct dump *d, struct file *f, size_t *ret_index)
{
	struct fd_entry *e = array_add(&d->own->fds);
	int r;

	if (!e)
		return -ENOMEM;
	*e = (struct fd_entry){ .fd = f->fd };
	r = file_add(d, f, ret_index);
	if (r == 0)
		e->file = *ret_index;
	return r;
}

static int own_look(struct dump *d, struct file *f)
{
	bool cloexec;

	return file_look_one(d, f, &cloexec);
}

/* It is given to whoever is to receive it before all threads are there. */
static int own_check(struct dump *d, const struct file *f)
{
	return f->room && f->room->made_last && f->room->made_last(d, f)
	               ? fail(-ENOTSUP, "%s: is in flight, too: not supported by this version",
	                      file_name(f))
	               : 0;
}

int files_add_own(struct dump *d, int fd, uint32_t *ret_file_id)
{
	auto_close int own = fd;
	auto_(file_done) struct file f = { .fd = fd, .kept = -1 };
	struct fd_node *node;
	int r = own_task(d);

	f.task = d->own;
	if (r == 0)
		r = own_look(d, &f);
	if (r == 0)
		r = fd_node_find(d, &f, &node);
	if (r == 0 && node->file == SIZE_MAX && strstr(f.fdinfo, "\nlock:"))
		return fail(-ENOTSUP, "%s: a file in flight that is locked: not supported",
		            file_name(&f));
	if (r == 0 && node->file == SIZE_MAX) {
		r = own_keep(d, &f, &node->file);
		own = -1;
	}
	if (r < 0)
		return fail(r, "a file in flight: look at it");
	*ret_file_id = (uint32_t)node->file + 1;
	return own_check(d, file_of(d, *ret_file_id));
}

void files_done(struct dump *d)
{
	files_give_back(d);
	own_task_done(d);
	tdestroy(d->fd_tree, free);
	tdestroy(d->map_tree, map_node_free);
	tdestroy(d->pipe_tree, free);
	unix_socks_free(d);
	sockopts_forget(d);
	tcp_diag_forget(d);
	together_forget_files(d);
	d->fd_tree = d->map_tree = d->pipe_tree = NULL;
	array_each (f, &d->files)
		file_done(f);
	array_done(&d->files);
	d->watches = d->opened_for = false;
	array_each (t, &d->tasks)
		fds_forget(t);
}
