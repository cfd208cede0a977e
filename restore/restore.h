/*
 * A restore in progress: the decoded checkpoint, the plan (who is forked by
 * whom and opens what) and the two tables of rooms (images/kinds.def).
 *
 * read -> check -> plan -> open -> compile -> run -> commit, see restore.c.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "images/images.h"
#include "lib/array.h"
#include "lib/cgroup.h"
#include "lib/sysv.h"
#include "lib/table.h"
#include "parasite/compile.h"
#include "parasite/inject.h"
#include "proto/file.pb-c.h"
#include "proto/task.pb-c.h"
#include "proto/thread.pb-c.h"
#include "restore/clocks.h"

/* What may have happened to a regular file since the dump. */
enum file_policy {
	FILES_EXACT,    /* nothing */
	FILES_APPEND,   /* one that is open for appending may have grown */
	FILES_ANY,      /* anything, as long as it is a regular file */
	FILES_ROLLBACK, /* what was kept of it (dump --file-contents) is written back */
};

struct far;

struct restore_options {
	const char *dir; /* -D */
	bool detach;     /* -d */
	bool shell_job;  /* -j */
	/* --verify, --decrypt, or NULL: wiped when the images are read */
	struct image_keys *keys;
	const char *pidfile;
	bool new_pidns;            /* in a pid namespace of its own */
	bool new_userns;           /* and in a user namespace of its own, without any privilege */
	struct leftovers *outside; /* there: of who stays out of it (leftover.h) */
	pid_t *ret_root;           /* NULL, or where the pid of the root is wanted */
	bool explain;              /* print the scripts, do nothing */
	unsigned timeout_ms;
	bool tcp_close;      /* --tcp-close: connections come back as reset */
	const char *fail_at; /* fail at the end of this stage (tests) */
	enum file_policy file_policy;
	struct words path_map;   /* OLD=NEW */
	struct words tcp_map;    /* OLD=NEW (sk_tcp_map.c) */
	struct words inherit_fd; /* fd[N]:KEY */
	enum cgroup_mode cgroup_mode;
	struct words cgroup_root;        /* [CONTROLLER:]/GROUP */
	enum sysv_policy sysv;           /* --sysv */
	enum monotonic_policy monotonic; /* --monotonic */
	bool time_passes;                /* --time: timers catch up */
	bool lazy;                       /* --lazy: the tree runs before its memory is there */
	bool on_demand;                  /* --on-demand: and only what is touched of it */
	bool trusted; /* whoever wrote the checkpoint here a moment ago has verified it */
	/* Optional: the tree is whole and about to run. -errno, explained: it is not to. */
	int (*ready)(void *arg);
	void *ready_arg;
	/*
	 * Optional: told at "pre-restore" (nothing was made; ROOT is 0), "post-restore",
	 * "network-unlock" and "pre-resume" (the tree is whole, and stands still) and
	 * "post-resume". ROOT: as the process that calls sees it. -errno, explained: nothing
	 * is restored; the last aside.
	 */
	int (*action)(void *arg, const char *moment, pid_t root);
	void *action_arg;
	/* Who has the pages that come afterwards, or NULL: whoever brings them to the tree keeps CALLERS (far.h). */
	const struct far *far;
	/* Descriptors of the caller's that processes which stay beside the tree must not keep; 0: none. */
	int callers[3];
};

struct rthread {
	pid_t tid;
	struct rtask *task;
	const Img__Thread *img;
	struct script script;
	struct tracee tracee; /* seized by the coordinator from PHASE_LAST on */
};

enum role {
	ROLE_TASK,
	ROLE_ZOMBIE, /* exists, and has ended when its parent goes on */
	ROLE_HELPER, /* of a pid that leads a session or group and is no more; not in the checkpoint */
};

struct rtask {
	pid_t pid; /* 0: any (a helper) */
	pid_t sid, pgid;
	enum role role;
	const Img__Task *img;         /* NULL: a helper */
	struct rtask *parent;         /* NULL: the coordinator */
	struct rtask *forker;         /* whose script forks it (tree.c); NULL: the coordinator */
	int exit_signal;              /* at its end, to its parent */
	pid_t born_in;                /* the session that it has before it leads its own; 0: any */
	bool as_sibling;              /* the forker is its sibling: CLONE_PARENT */
	bool before_setsid;           /* it is forked before the forker's own setsid */
	bool orphan;                  /* it falls to its parent when the forker, a helper, ends */
	struct rtask *shares[TABLES]; /* whose record stands for each table; mostly itself */
	struct rtask *forks, *next;   /* those that it forks, linked by next */
	struct rtask *children, *sibling; /* those of the checkpoint, linked by sibling */
	/* What its parent will be told of it by wait(2), and has not been yet (wait_status.c). */
	bool tell_stopped, tell_continued;
	bool reaps; /* orphans fall to it, whatever it was: a subreaper while the tree is made */
	ARRAY(struct rthread)
	threads;       /* the leader first; one without a record for zombies and helpers */
	uint64_t vdso; /* where its vDSO code will be; 0: none */
	int pidfd;     /* the guard's alone (commit.c) */
	ARRAY(struct script) fillers; /* of threads that only read pages (memory_fill.c) */
	size_t order,
		order_end; /* its number in the tree of forks; behind that of its last descendant */
	struct lazy *lazy; /* memory that comes later (lazy.c), or NULL */
	int lazy_pidfd;    /* lazy.c's alone */
	struct heritage
		*heritage; /* memory that it has when it forks (memory_heritage.c), or NULL */
};

struct restore {
	const struct restore_options *opt;
	struct images *images;
	struct arena arena;
	struct shared *shared;     /* in the arena */
	ARRAY(struct rtask) tasks; /* the root first, parents before children */
	struct rtask **by_pid;     /* the same, by number */
	bool sharing;              /* some tasks share tables */
	size_t threaded;           /* tasks with more than one thread */
	struct rtask *helpers;     /* tree.c; gone when the tree runs */
	size_t nhelpers;
	struct lates *lates;         /* restore/late.c; NULL: no file has to wait for the tree */
	struct heritage *heritages;  /* all of them */
	struct pool *pool;           /* descriptors that all tasks inherit */
	struct inodes *inodes;       /* restore/inode.c */
	void *directories;           /* restore/fs.c: pool descriptors by path */
	struct sysv *sysv;           /* restore/sysv.c: objects that were made */
	struct leftovers *leftovers; /* restore/leftover.h */
	struct words made_queues;    /* mqueue.c: names of those that were made */
	ARRAY(char *) put_back;      /* inode_kept.c: paths of files that were gone */
	struct cgroups *cgroups;     /* restore/cgroup.c */
	struct clocks clocks;
	bool committed;                 /* the tree runs */
	uint8_t *segments;              /* restore/sysv_shm.c: what was found of each, by index */
	struct shmem *shmem;            /* restore/shmem.c: by index of its record */
	struct tcp_conns *tcp_conns;    /* sk_tcp_conn.c: connections that wait for the commit */
	char *strangers;                /* children that we had before, as /proc lists them */
	struct needs *needs;            /* far.c */
	uint64_t windows;               /* memory_place.c: on the page files; 0: none */
	ARRAY(struct reader *) readers; /* memory_sums.c: threads that make checksums */
	unsigned glances;               /* run.c: looks after the tree */
	pid_t root;                     /* forked by us, not yet reaped; 0: none */
};

/* opt->action, if there is one. -errno, explained. */
int restore_tell(struct restore *r, const char *moment);

/* In a process that stays. */
void close_callers(const struct restore_options *opt);

/* "task 41 (redis)", for messages; one of a few static buffers. */
const char *rtask_name(const struct rtask *t);

/* The record that an aspect has for OWNER, or NULL. */
const ProtobufCMessage *aspect_record(const struct restore *r, uint32_t kind, uint32_t owner);

/* ---- kinds of open file ---- */

struct restore_kind {
	/* Optional: refuse hostile or impossible content. Nothing is forked yet. */
	int (*check)(struct restore *r, const Img__File *file, const ProtobufCMessage *msg);
	/* Create the open file description: a descriptor, or -errno explained. Owned by the pool. */
	int (*open)(struct restore *r, const Img__File *file, const ProtobufCMessage *msg);
	/* Optional: can open() be called only when all processes exist (pidfds, files of /proc/PID)? */
	bool (*late)(const struct restore *r, const ProtobufCMessage *msg);
	/*
	 * Optional, of a file that open() is late for: only its process can make it, which alone has it
	 * open: by the calls that this appends, which leave it at number 0, that is free.
	 * Before T builds anything; open() is not called.
	 */
	int (*make)(struct restore *r, struct rtask *t, const Img__File *file,
	            const ProtobufCMessage *msg, struct script *s);
	/* Optional: calls in the owner, once all descriptors are at their numbers; FD is one of them. */
	int (*emit)(struct restore *r, struct rtask *t, int fd, const Img__File *file,
	            const ProtobufCMessage *msg, struct script *s);
	/*
	 * Optional: can it be made only when all threads exist (pidfds of threads)? Then one process
	 * alone has it open; what open() makes stands in for it until emit_last() makes it, under FD.
	 */
	bool (*last)(const struct restore *r, const ProtobufCMessage *msg);
	/* Optional, as emit(): in PHASE_PROCESS, when the pool is gone; those of last() come first. */
	int (*emit_last)(struct restore *r, struct rtask *t, int fd, const Img__File *file,
	                 const ProtobufCMessage *msg, struct script *s);
	/* Optional: by the coordinator, when the processes are what they were and before anybody is let go. */
	int (*finish)(struct restore *r, int fd, const Img__File *file,
	              const ProtobufCMessage *msg);
	/* Optional, once for all files of a kind: before the first file of any kind is opened. */
	int (*begin)(struct restore *r);
	/* Optional: the last that can fail; nobody is let go yet. */
	int (*commit)(struct restore *r);
	/* Optional, on every way out, also without begin(): what is not for the tree goes. */
	void (*done)(struct restore *r);
};

/* These for all kinds (kinds.c). */
int restore_kinds_begin(struct restore *r);
int restore_kinds_commit(struct restore *r);
void restore_kinds_done(struct restore *r);

/* begin(), let_go() and done() of all aspects. */
int restore_aspects_begin(struct restore *r);
int restore_aspects_let_go(struct restore *r, int64_t offset);
void restore_aspects_done(struct restore *r);

const struct restore_kind *restore_kind_of(uint32_t kind);

/* ---- aspects of a task ---- */

/*
 * When an aspect's calls run. BUILD is run by the leader alone, before its
 * threads exist; all phases from THREAD on are separated by barriers.
 */
enum phase {
	PHASE_SESSION, /* the task alone: it has its session, and none of those that it forks into that */
	PHASE_BUILD,   /* leader: memory, descriptors, what threads share */
	PHASE_THREAD,  /* every thread, in parallel */
	PHASE_PROCESS, /* leader: what needs all threads to exist */
	PHASE_LAST,    /* every thread: what takes rights away; seized by the coordinator by now */
	PHASES
};

struct restore_aspect {
	enum table table; /* state of a table that tasks may share: once per table */
	/* Optional: refuse hostile content. OWNER is a pid or tid of the checkpoint. */
	int (*check)(struct restore *r, uint32_t owner, const ProtobufCMessage *msg);
	/* Optional: when everything is checked: what concerns more than one task. */
	int (*plan)(struct restore *r);
	/* Optional: calls of T, a helper maybe, before it forks anybody: what these shall inherit. */
	int (*before_forks)(struct restore *r, struct rtask *t, struct script *s);
	/*
	 * Optional: by the coordinator, when all processes exist, each with one thread, and
	 * none has begun to build what is its own. Called for each record of a process.
	 */
	int (*begin)(struct restore *r, struct rthread *th, const ProtobufCMessage *msg);
	/*
	 * Append calls for one phase. TH is the thread that runs them: the
	 * owner itself, or the leader for a record that a process owns.
	 */
	int (*emit[PHASES])(struct restore *r, struct rthread *th, const ProtobufCMessage *msg,
	                    struct script *s);
	/*
	 * Optional: what only another process can do (files of /proc/PID). By the
	 * coordinator, when all scripts have been run and before anybody is let go.
	 */
	int (*finish)(struct restore *r, struct rthread *th, const ProtobufCMessage *msg);
	/*
	 * Optional: everybody is what it was, and is let go next: what has to be done between the one
	 * and the other, some may be let go by it. OFFSET: of a system call instruction in the vDSO, or -1.
	 */
	int (*let_go)(struct restore *r, int64_t offset);
	/* Optional, on every way out; where R is not committed, the tree is gone. */
	void (*done)(struct restore *r);
};

struct restore_aspect_entry {
	uint32_t kind;
	const char *name;
	const struct restore_aspect *aspect;
};
extern const struct restore_aspect_entry restore_aspects[];
extern const size_t restore_naspects;

/* ---- the pool of descriptors (pool.c) ---- */

/*
 * Descriptors that the coordinator opened, at numbers that are in nobody's way,
 * so that every task can dup3() from them and close the rest.
 */
int pool_init(struct restore *r);
/* Move FD to a number that no task uses; FD is consumed. The number or -errno, explained. */
int pool_add(struct restore *r, int fd);
/*
 * The pool number of a file id: opened on first use by its kind. It may be the
 * number where tasks want it. -errno explained.
 */
int pool_file(struct restore *r, uint32_t file_id);
/* Is the file open in one table of descriptors, and nowhere else? */
bool file_in_one_table(const struct restore *r, uint32_t file_id);
/* The descriptor FD of T in crtool, a new one. -errno. */
int file_fetch(const struct rtask *t, int fd);
/* Is it made last? */
bool file_is_last(const struct restore *r, uint32_t file_id);
/* FD_CLOEXEC at a pool number that is one of a task. */
bool pool_cloexec(const struct restore *r, uint32_t file_id);
/* A number that no task uses, for the moment of a call. -errno explained. */
int pool_spare(struct restore *r);
/* FD, consumed, stands in the pool for that file. The number or -errno, explained. */
int pool_put(struct restore *r, uint32_t file_id, int fd);
/* Has nobody the file open? It may be in flight, or mapped. */
bool pool_unused(const struct restore *r, uint32_t file_id);
/* Where a file id is first used: the task and number that its kind's emit() is called for. */
bool pool_owns(const struct restore *r, uint32_t file_id, uint32_t pid, uint32_t fd);
/*
 * One call makes two: an open() has made the other file, too, and leaves it
 * for that one's open() to take; or it leaves something for its own finish(). FD is consumed.
 * -errno explained; taken: -ENOENT.
 */
int pool_leave(struct restore *r, uint32_t file_id, int fd);
int pool_take(struct restore *r, uint32_t file_id);
void pool_done(struct restore *r);

/*
 * Set those flags of FILE that fcntl(2) can set on FD, which has none of them:
 * all but O_ASYNC, which comes after the owner (fds.c). -errno.
 */
int pool_set_flags(int fd, const Img__File *file);

/* Was the checkpoint made on this machine since it was booted? Then inode numbers still mean something. */
bool pool_same_boot(const struct restore *r);

/* ---- files that are opened when all processes exist (late.c) ---- */

/* Find them all, and give each its number in the pool. -errno explained. */
int late_plan(struct restore *r);
/* In T, all processes being there: what the coordinator has opened meanwhile goes to its number. */
int late_emit(struct restore *r, const struct rtask *t, struct script *s);
/* In T, before it builds anything: what it alone can make goes to its number in the pool. */
int late_make(struct restore *r, struct rtask *t, struct script *s);
/* By the coordinator, between the last process and anybody's late_emit(). -errno explained. */
int late_open(struct restore *r);
/*
 * By the coordinator, of FILE if nobody has it open, as it is in flight: its owner (F_SETOWN_EX), whom
 * else the scripts name (fds.c). -errno explained.
 */
int fds_own_in_flight(struct restore *r, const Img__File *file);
/* FD has the owner of FILE, as whoever named him: the kernel keeps his uids. -errno */
int fds_name_owner(int fd, const Img__File *file);
/* finish() of all kinds. -errno explained. */
int files_finish(struct restore *r);
void late_done(struct restore *r);

/* ---- the address space (memory.c) ---- */

/* Does anything of this memory record lie in [START, END)? */
bool memory_overlaps(const ProtobufCMessage *memory, uint64_t start, uint64_t end);

/* ---- the tree (plan.c, tree.c) ---- */

/* The task of the checkpoint with that pid, or NULL. */
struct rtask *rtask_find(const struct restore *r, pid_t pid);
/* Plan who forks whom; adds helpers. Needs r->tasks complete, which must not move any more. */
int plan_forks(struct restore *r);

/* ---- stages (restore.c calls them in this order) ---- */

int read_images(struct restore *r);
int path_map_check(const struct words *map); /* it makes sense; -EINVAL, explained */
int tcp_map_check(const struct words *map);  /* the same (sk_tcp_map.c) */
int map_paths(struct restore *r);            /* path_map.c: --path-map; with read_images() */
int plan_tree(struct restore *r);       /* plan.c: tasks and threads, their relations checked */
int check_images(struct restore *r);    /* check.c: this machine; every aspect and kind */
int enter_netns(struct restore *r);     /* netns.c: where the tree has lived */
int place_arena(struct restore *r);     /* plan.c: at an address free in all tasks and here */
int open_files(struct restore *r);      /* pool */
int compile_scripts(struct restore *r); /* compile.c */
int run_scripts(
	struct restore *r);    /* run.c: fork, barriers; all stand at the end of their scripts */
int commit(struct restore *r); /* commit.c: registers, detach */

/* Write PID for those who want to know it. -errno, explained. */
int pidfile_write(const char *path, pid_t pid);

/* Kill everything that was forked (run.c). Idempotent. */
void restore_rollback(struct restore *r);

/* The whole restore. Unless detached, *RET_STATUS is the wait status of the root. 0 or -errno, explained. */
int restore_run(const struct restore_options *opt, int *ret_status);
