/*
 * A dump in progress: what is known of the tree, and the two tables of rooms
 * that know the kinds (images/kinds.def).
 */
#pragma once

#include <protobuf-c/protobuf-c.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "dump/census.h"
#include "dump/options.h"
#include "images/images.h"
#include "lib/array.h"
#include "lib/cgroup.h"
#include "lib/guard.h"
#include "lib/procfs.h"
#include "lib/sysv.h"
#include "lib/table.h"
#include "lib/timens.h"
#include "parasite/compile.h"
#include "parasite/inject.h"
#include "proto/task.pb-c.h"

struct dump;
struct task;

enum task_state { TASK_ALIVE, TASK_STOPPED, TASK_ZOMBIE };
/* What its parent has not been told yet by wait(2) (wait_status.c). */
enum untold { UNTOLD_NOTHING, UNTOLD_STOPPED, UNTOLD_CONTINUED };

struct thread {
	pid_t tid;
	struct task *task;
	struct tracee tracee; /* registers and masks while stopped (parasite/inject.h) */
	unsigned hand;        /* who traces it (dump/threads.h) */
	int status_fd;        /* /proc/PID/task/TID/status, opened before the freeze; -1 */
	char *status;         /* its text, read while frozen ... */
	size_t status_size;   /* ... into so much room; 0: there is as much as is needed */
	struct ask *
		asks; /* by aspect, while scripts are out; room for what is peeked lies behind them ... */
	size_t peeked;        /* ... so many bytes of which are taken */
	struct script script; /* what it was asked */
	long restarted; /* number of the call that it is in: see restart.h; 0: it is in its registers */
	const struct thread *like; /* who is asked in its stead (alike.h, alike_tasks.h), or NULL */
	const struct task_facts *facts; /* what the kernel knows of it, or NULL */
	bool ran;                       /* for that, while others stood still already */
	int released;                   /* what tracee_release() said */
	bool exited;                    /* a zombie leader whose other threads live */
	/* Tracers of the tree (tracees.c): it is one; it has one, who has not let it go; who has. */
	bool traces, debugged;
	struct traced *traced;
	struct parked *parked; /* has somebody let go */
	/* Tables that threads need not share (share_threads.c): known, and what of them. */
	bool compared, own_sysvsem, shares_io, own_io;
};

/* One line of /proc/PID/maps, with the flags of smaps where they were needed. */
struct vma {
	uint64_t start, end, offset;
	uint32_t prot; /* PROT_* */
	bool shared;
	dev_t dev;
	uint64_t ino;
	char *name;     /* as in maps, "" for anonymous memory */
	uint64_t flags; /* VMF(...) of lib/procfs.h */
	uint32_t pkey;  /* protection key */
	uint32_t class; /* enum vma_class (dump/memory_map.h) */
};

/* What becomes of a file: see dump/unknown.c. */
enum fd_policy { FD_CARRY, FD_NULL, FD_CLOSE, FD_EXTERNAL };

/* One open file description, seen through one or more descriptors. */
struct file {
	uint32_t id;       /* file id, from 1 */
	struct task *task; /* somebody who has it open ... */
	int fd;            /* ... under this number; -1: it is only mapped */
	char at[48];       /* where it is below /proc/PID: "fd/7", "map_files/..." */
	char *link;        /* where that points */
	bool leads;        /* to this file: seen as st was taken */
	char *fdinfo;      /* text of /proc/PID/fdinfo/FD */
	struct stat st;
	uint32_t flags; /* fdinfo flags, without O_CLOEXEC */
	uint64_t pos;
	uint32_t mnt_id;
	uint32_t kind; /* record kind of the room that owns it */
	const struct dump_kind *room;
	enum fd_policy policy;
	/* Of a socket: SO_DOMAIN, SO_TYPE, SO_PROTOCOL, asked once; AF_UNSPEC: it is none, or O_PATH. */
	struct {
		int family, type, protocol;
	} sock;
	int kept; /* of a socket, while frozen: a descriptor of ours, or -1 (file_borrow()) */
	/* Of a pipe, fifo, socket: the first file id on the same inode, and the next one, 0 after the last. */
	uint32_t first, next;
};

struct fd_entry {
	int fd;
	bool cloexec;
	size_t file; /* index in dump.files */
	char *locks; /* "lock:" lines of fdinfo; NULL: none, or told at another descriptor of this task */
};

/* The copy of a task's memory (dump/snapshot.h). */
struct copy {
	size_t op;            /* of the leader's script: forks it ... */
	bool armed;           /* ... which has been started */
	struct tracee tracee; /* tid 0: there is none */
	int proc, mem;        /* of it */
};

struct task {
	pid_t pid, ppid, pgid, sid;
	enum task_state state;
	int stop_signal, exit_code, exit_signal;
	uint32_t uid, gid; /* of a zombie */
	pid_t forked_by; /* the thread of its parent whose child it is, if that is not the leader; 0 */
	enum untold untold;
	char comm[16];
	struct proc_stat stat; /* as it was read last: once frozen, for good */
	struct task *parent;   /* NULL for the root of the tree */
	size_t parent_at;      /* index of the parent in dump.tasks */
	/* Once all are frozen: its children, linked by sibling, in the order of dump.tasks. */
	struct task *children, *sibling;
	struct task
		*shares[TABLES]; /* share.c: whose record stands for each table; mostly itself */
	uint32_t alone; /* nobody has these tables in common with it: a bit each (share.c) */
	/* Tasks that share its memory, if that is its own; their threads that are asked. */
	size_t mm_users, mm_asked;
	uint64_t concerned; /* by which aspects, a bit each (ask.c) */
	bool headless;      /* its leader has exited, other threads live */
	int proc;           /* /proc/PID, O_PATH; of a headless one that of a live thread ... */
	int home;           /* ... and this is /proc/PID, which shows only what is left; else -1 */
	int pidfd;          /* see task_pidfd() */
	int mem, pagemap;   /* /proc/PID/mem, and pagemap while few enough are frozen (borrow.h) */
	ARRAY(struct thread) threads; /* the leader first */
	struct task_facts *facts;     /* alike.c: of each of them, and some more ... */
	size_t n_facts, n_opens;      /* ... so many (0: they are all asked); so many opens */
	/* together.c: at the look and while it stands, or NULL; its descriptors. */
	const struct proc_facts *looked, *now;
	const struct proc_answers *answers; /* alike_tasks.c: NULL: it is asked */
	const struct open_fact *opens;
	ARRAY(struct vma) vmas; /* by address ... */
	bool flags_known, kept; /* ... with their flags; once frozen: the look had them all */
	ARRAY(uint64_t) bound;  /* where mappings begin that have a NUMA policy (mempolicy.c) ... */
	bool bound_known;       /* ... if that was looked for */
	bool bound_told;        /* the kernel has told of flags, and of these (vma.c) */
	ARRAY(struct fd_entry) fds; /* by number */
	uint64_t raised;            /* signals that its script raises and takes */
	pid_t outsider;             /* dump/outsider.h; 0: none */
	uint32_t noted;             /* the last note about it (guard.c); 0: none */
	/* Once per address space: those of mm_of() hold. */
	uint64_t syscall_insn;    /* a system call instruction in its vDSO ... */
	uint64_t door;            /* ... and room for a door; 0: none */
	bool door_used;           /* by a crtool that was killed */
	struct arena arena;       /* scripts of all its threads */
	struct parasite parasite; /* the injected memory, undone by parasite_cure() */
	struct copy copy;
	struct writers *writers; /* dump/writers.h, or NULL */
};

/* Shared memory that belongs to no file system (dump/shmem.h). */
struct shmems {
	ARRAY(struct shmem *) list; /* by id */
	void *tree;
};

/* Files that no path leads to (dump/inode.h). */
struct inodes {
	void *tree;
	uint32_t n;
};

/* Which status is read next, gather.c. */
struct statuses {
	pthread_mutex_t lock;
	size_t task, thread;
};

/* Tasks by pid, task_index.c. */
struct task_index {
	uint32_t *slots; /* place in dump.tasks + 1; 0: free */
	size_t mask;
};

struct dump {
	const struct dump_options *opt;
	bool has_writers; /* somebody writes memory itself (dump/writers.h) */
	int dirfd;
	bool made_dir;    /* the image directory is our own work ... */
	bool sealed;      /* ... and must stay */
	bool told_locked; /* --action-script has locked the network */
	struct image_writer *out;
	struct pages *held;       /* pages.c */
	struct pages_file *pages; /* the first page file, made before the freeze: that takes time */
	ARRAY(struct task) tasks; /* the root first, parents before children */
	struct task_index index;
	ARRAY(struct file) files; /* by id, from 1 */
	uint32_t sock_mnt; /* files_look.c: the mount that sockets are on; 0: not known ... */
	dev_t sock_dev;    /* ... and its device */
	bool many_socks;   /* it has so many that what the kernel lists of all is worth it */
	bool watches;      /* somebody is told of what becomes of files (inotify, fanotify) ... */
	bool opened_for; /* ... and given descriptors of them (fanotify), maybe as keeps_cloexec says */
	size_t nkept, nstatuses; /* borrow.c: descriptors of ours, for sockets and threads ... */
	size_t keep_most;        /* ... of so many in all */
	void *fd_tree, *map_tree, *pipe_tree; /* files.c: by descriptor, by mapping, by inode */
	bool core_sched;                      /* the kernel has core scheduling */
	pid_t bare; /* a thread of crtool without optional tables (share_bare.c); 0: not yet */
	struct task *own; /* crtool itself, once it holds files of the tree (files_add_own()) */
	struct unix_socks *unix_socks;       /* sk_unix_diag.c: what the kernel lists */
	struct tcp_conns *tcp_conns;         /* sk_tcp_conn.c: established connections */
	struct tcp_diags *tcp_diags;         /* sk_tcp_diag.c: what the kernel lists */
	struct tcp_listeners *tcp_listeners; /* sk_tcp_listen.c */
	struct sockopt_usual *sockopt_usual; /* sockopt.c: what new sockets have */
	struct mcast_known *mcast_known;     /* sk_mcast.c: groups that anybody is in */
	struct inet_diag *inet_diag;         /* sk_inet_diag.c: what the kernel lists */
	struct raw_peers *raw_peers;         /* sk_raw.c: what raw sockets are connected to */
	char *netns; /* netns.c: path of the network namespace that crtool has followed the tree to; NULL: its own */
	uint64_t netns_cookie; /* sk_inet.c: of our network namespace; 0: not asked yet */
	struct shmems shmems;
	struct sysv *sysv;                 /* dump/sysv.h */
	struct mqueues *mqueues;           /* dump/mqueue.h */
	struct ring_issuers *ring_issuers; /* dump/ring_issuer.h */
	struct ring_polls *ring_polls;     /* dump/ring_poll.h */
	struct kmem *kernel_memory;        /* dump/kernel_memory.h ... */
	struct btf *layouts;               /* ... NULL: not tried yet */
	struct inodes inodes;
	struct quiet *quiet;         /* inode_open.c */
	void *build_ids;             /* build_id.c */
	struct cgroups *cgroups;     /* dump/cgroup.h */
	struct outsiders *outsiders; /* dump/outsider.h */
	struct tracers *tracers;     /* tracer_flags.c */
	int told_dispatch;           /* dispatch.c: by ptrace(2), or -1: not; 0: not tried yet */
	struct alike *alike;         /* alike.c */
	struct alike_tasks *alike_tasks; /* alike_tasks.c; NULL: all are asked */
	struct together *together;       /* together.c */
	struct vma_asks *vma_asks;       /* vma.c; NULL: not tried yet */
	ARRAY(uint64_t) vdsos;           /* hashes, by id from 1 ... */
	uint32_t kernels_vdso; /* ... which is that of who has changed nothing; 0: not known yet */
	struct {
		struct timens ours, theirs;
		ino_t ino; /* of their namespace */
	} clocks;
	Img__Manifest *manifest;
	struct census census; /* who lived when the tree was looked at */
	struct guard guard;   /* guard.c */
	struct notes *notes;  /* for it */
	struct hands *hands;  /* threads.c */
	struct statuses statuses;
	uint8_t id[CHAIN_ID];  /* of this checkpoint */
	struct images *parent; /* --prev-images-dir, or NULL */
	Img__Manifest__Parent parent_msg;
	char *parent_path;         /* in it */
	struct track *track;       /* dump/track.h */
	bool passing, again;       /* passing() of stages.h; not the first try */
	bool frozen, worked_on;    /* io_uring, AIO: files may have changed since the look */
	bool undoing, from_copies; /* the guard's; pages are read from copies */
	size_t obstacles;          /* counted by dump_obstacle() */
	uint64_t frozen_at, released_at, frozen_cpu; /* ns; the last: of CPU time */
	int awake; /* lib/awake.h; at most until the end of the freeze */
};

/* "task 41 (redis)", for messages; one of a few static buffers. */
const char *task_name(const struct task *t);

/* The task of the tree with that pid, or NULL. */
struct task *task_find(const struct dump *d, pid_t pid);

/* A thread that still has memory and descriptors: the leader may have exited alone. */
pid_t task_tid(const struct task *t);

/*
 * R, or with opt->all 0 for an explained -ENOTSUP: it goes to the report of
 * what is not carried and is counted, so that all of them are seen at once.
 */
int dump_obstacle(struct dump *d, int r);

/* ---- kinds of open file ---- */

struct dump_kind {
	/* A mapping of it is one of the very description that somebody has open, known by its inode. */
	bool maps_itself;
	/* Before the freeze, optional: refuse a mapping of it. Explained. */
	int (*check_vma)(struct dump *d, const struct file *f, const struct vma *v);
	/*
	 * How it is opened may leave O_CLOEXEC in its own flags, which fdinfo then shows at every descriptor
	 * of it: whether one is closed by execve(2) only the task knows.
	 */
	bool keeps_cloexec;
	/* It is restored by calls in a task that has it open: one that is only in flight is refused. */
	bool needs_owner;
	/*
	 * Optional: F can be made only when all threads are there, by the one process that has it open
	 * (file_alone()) and under the numbers that this has.
	 */
	bool (*made_last)(const struct dump *d, const struct file *f);
	/* Is this file mine? Only from what struct file holds. */
	bool (*owns)(const struct file *f);
	/* Before the freeze, optional: refuse what cannot be carried with fail(-ENOTSUP, "%s: fd %d: ..."). */
	int (*check)(struct dump *d, const struct file *f);
	/*
	 * Optional: all files have been looked at, and the freeze is next: what comes from
	 * outside is held up, until release().
	 */
	int (*hold)(struct dump *d);
	/*
	 * While frozen, before any record, optional: add the files that F alone holds and
	 * nobody has open (files_add_own()). F moves when files are added.
	 */
	int (*reach)(struct dump *d, const struct file *f);
	/* Optional, while frozen: all files are known and none is written yet. */
	int (*begin)(struct dump *d);
	/* While frozen: write the record of this kind, owner f->id. */
	int (*dump)(struct dump *d, const struct file *f);
	/* Optional: the checkpoint is whole, and the tree is about to be killed. */
	int (*end)(struct dump *d);
	/*
	 * Optional, on every way out: the tree is about to run on, or it has been KILLED. Undo what
	 * begin() and end() did. May be called more than once, also without begin().
	 */
	void (*release)(struct dump *d, bool killed);
};

/* These for all kinds (kinds.c). */
int dump_kinds_hold(struct dump *d);
int dump_kinds_begin(struct dump *d);
int dump_kinds_end(struct dump *d);
void dump_kinds_release(struct dump *d, bool killed);

/* The room that owns F, or NULL; its record kind. */
const struct dump_kind *dump_kind_of(const struct file *f, uint32_t *ret_kind);

/*
 * A descriptor of ours for the same open file description (pidfd_getfd(2)):
 * for what fdinfo does not tell. -errno.
 */
int file_steal(const struct file *f);

/* Who has the arena of T and what maps it, once tables_find() has run; before, T itself. */
static inline struct task *mm_of(struct task *t)
{
	return t->shares[TABLE_VM] ? t->shares[TABLE_VM] : t;
}

/* ---- what a task has, read from outside (vma.c, files.c) ---- */

/* Fill t->vmas from /proc/PID/maps, smaps flags included. While running (look) or frozen. Replaces what is there. */
int vmas_read(struct task *t);
/* The same while it runs; the flags of a large process may be missing, they are seen when it is frozen. */
int vmas_look(struct dump *d, struct task *t);
/* The same as vmas_read(), of what was looked at and is frozen, and not kept: without smaps if that can be. */
int vmas_read_again(const struct dump *d, struct task *t);
/* Does the kernel tell flags of mappings without smaps? Not by several hands at once. */
bool vmas_are_told(struct dump *d);
void vmas_forget(struct dump *d);
/* Has it so much memory that a walk of its page tables takes its time? */
bool vmas_are_large(const struct task *t);
void vmas_done(struct task *t);
/* A free range of at least SIZE bytes in the address space of T, page aligned; 0: none. */
uint64_t vmas_gap(const struct task *t, uint64_t size);
/* The vDSO code of T, or NULL. */
const struct vma *vmas_vdso(const struct task *t);

/*
 * Fill t->fds and add new descriptions to d->files; those that two descriptors
 * share are told apart by kcmp(2). While running (look) or frozen.
 */
int files_gather(struct dump *d, struct task *t);
/* Every file has a room and passes its check, or is let go by policy; explains the first that does not. */
int files_check(struct dump *d, struct task *t);
/*
 * F was refused: what the policy says of it. FD_CARRY: nothing, the refusal stands.
 * -EINVAL, explained, from unknown_parse(): the policies make no sense.
 */
enum fd_policy unknown_policy(const struct dump *d, const struct file *f);
int unknown_parse(const struct words *policies);
/* Forget all files and descriptors: they are gathered anew once frozen. */
void files_done(struct dump *d);

/*
 * The file id of the file that V of T maps: a description of its own, O_RDWR
 * for a shared mapping that may be written, else O_RDONLY; the same for all
 * mappings of one file. Before dump_files(). Adds to d->files. Explained.
 */
int files_add_mapped(struct dump *d, struct task *t, const struct vma *v, uint32_t *ret_file_id);

/* The same of the executable of T, if that is mapped nowhere. */
int files_add_exe(struct dump *d, struct task *t, uint32_t *ret_file_id);

/*
 * The file id of what FD, a descriptor of crtool itself, is open on, which is
 * consumed: one that the tree has open, or a new one of the task d->own. Explained.
 */
int files_add_own(struct dump *d, int fd, uint32_t *ret_file_id);

/* Is F open in one table of descriptors, and nowhere else? */
bool file_alone(const struct dump *d, const struct file *f);

/* The file with that id. */
static inline struct file *file_of(struct dump *d, uint32_t id)
{
	return &d->files.v[id - 1];
}

/* The first file on the inode of a pipe, fifo or socket; NULL: the tree has none. */
struct file *file_by_inode(struct dump *d, dev_t dev, ino_t ino);

/* What --external and --inherit-fd call it: "pipe[123]"; "": nothing. One static buffer. */
const char *file_key(const struct file *f);
/* Every --external makes sense. -EINVAL, explained. Is F one of them? */
int external_parse(const struct words *externals);
bool external_listed(const struct dump *d, const struct file *f);

/* "socket:[123] (TCP, listening on 0.0.0.0:80)": what is known of a file, for messages; one static buffer. */
const char *file_describe(const struct file *f);

/* memfd_secret(2): nobody but the program can read it. */
bool file_is_secret(const struct file *f);

/* "task 41 (redis): fd 7: /a/file", or "... mapped file /a/file": how messages start; one static buffer. */
const char *file_name(const struct file *f);

/* Does --ext-unix make sense? 0 or -EINVAL explained. */
int ext_unix_parse(const struct words *words);

/*
 * From within hand_over(): whatever happens from here on, also if crtool is killed, the tree is
 * stopped (SIGSTOP) when it is let go, as another one may run; or it is not, after all.
 */
void dump_keep_stopped(struct dump *d);
void dump_may_run(struct dump *d);

/* The whole dump. 0 or -errno, explained. */
int dump_run(const struct dump_options *opt);

/* `crtool check -t PID`: the look stage alone. 0, the number of obstacles (opt->all), or -errno explained. */
int dump_check(const struct dump_options *opt);

#include "dump/aspect.h" /* whoever reads a task has one to do it for */
