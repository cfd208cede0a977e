/* What a dump is asked to do. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "images/images.h"
#include "lib/array.h"
#include "lib/cgroup.h"
#include "lib/codec.h"
#include "lib/sysv.h"
#include "proto/task.pb-c.h"

struct dump;
struct later;

/* Pipes whose other end is outside of the tree: refused, taken for closed, crtool's own, opened again. */
enum ext_pipe { EXT_PIPE_REFUSE, EXT_PIPE_EOF, EXT_PIPE_INHERIT, EXT_PIPE_REOPEN };
/* -EINVAL, explained (pipe.c). NULL: refused. */
int ext_pipe_parse(const char *name, enum ext_pipe *ret);
/* --netlink-queue: -EINVAL, explained (sk_netlink.c). NULL: refused. */
int netlink_queue_parse(const char *name, bool *ret_drain);

enum tcp_policy { TCP_REFUSED, TCP_CARRIED, TCP_LET_GO };

/* How it was. */
struct dump_figures {
	uint64_t bytes; /* of the images */
	uint64_t frozen_ns;
};

struct dump_options {
	enum tcp_policy tcp; /* --tcp-established, --tcp-close */
	pid_t tree;          /* -t */
	const char *dir;     /* -D */
	bool stream;         /* to STREAM_FD instead */
	int stream_fd;
	bool leave_running;   /* -R */
	bool leave_stopped;   /* -s */
	bool shell_job;       /* -j */
	bool sync;            /* fsync before the target is killed */
	unsigned timeout_ms;  /* to freeze */
	const char *fail_at;  /* fail at the end of this stage (tests) */
	uint64_t ghost_limit; /* most bytes of a deleted file; 0: any number */
	bool file_contents;   /* keep what is in files that are open for writing */
	bool snapshot;        /* the tree runs on while its memory is written */
	bool all;             /* look on after an obstacle: see dump_obstacle() */
	bool wipe_dontdump;   /* do not save what core dumps would not */
	const char *prev;     /* --prev-images-dir: the parent, relative to dir */
	bool track;           /* what is written to from now on is to be known */
	bool dedup;           /* the parents are to lose afterwards what this one has, too */
	bool memory_only;     /* pre-dump */
	/*
	 * Instead of prev, where CHAIN is set: the parent is *CHAIN, or NULL, and CHAIN_PATH is where
	 * it is. When the checkpoint is sealed, *CHAIN becomes what can be the next one's parent.
	 */
	struct images **chain;
	const char *chain_path;
	struct dump_figures *figures; /* NULL: nobody asks */
	/*
	 * Optional: told at "pre-dump" (the tree still runs), "network-lock" (it does not),
	 * "post-dump" (the checkpoint is sealed) and, if the tree lives on, "network-unlock".
	 * -errno, explained: the dump fails, the last aside.
	 */
	int (*action)(void *arg, const char *moment, pid_t root);
	void *action_arg;
	/*
	 * Optional: the checkpoint is whole, and the tree is about to be ended: somebody else may take
	 * over (dump_keep_stopped()). -errno, explained: the tree runs on.
	 */
	int (*hand_over)(void *arg, struct dump *d);
	void *hand_over_arg;
	/* Where that is so, and not NULL: pages of processes are not stored, but noted there for it (dump/later.h). */
	struct later *later;
	/* --sign, --encrypt, or NULL */
	const struct image_keys *keys;
	struct compression compression; /* --compress */
	/* what cannot be carried, see unknown.c */
	struct words on_unknown_fd;
	enum ext_pipe ext_pipe;
	bool drain_netlink; /* --netlink-queue drain */
	struct words external;
	struct words ext_unix; /* sk_unix_ext.c */
	enum sysv_policy sysv;
	enum cgroup_mode cgroup_mode;
	bool lose_landlock; /* save who is in a Landlock sandbox without it */
	/* Optional: can a tree of these N processes be made again? -errno, explained: no (foresee.c). */
	int (*foresee)(const Img__Task **tasks, size_t n, bool shell_job);
};
