/*
 * The command line as a struct: what the options of cli/options.def set.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "images/keys.h"
#include "lib/array.h"
#include "lib/log.h"

enum command_id {
#define COMMAND(name, summary) COMMAND_##name,
#define OPTION(...)
#define LATER(...)
#include "cli/options.def"
#undef COMMAND
#undef OPTION
#undef LATER
	COMMANDS
};

struct options {
	enum command_id command;
	pid_t tree; /* 0: not given */
	const char *dir;
	const char *work_dir; /* NULL: the current directory */
	const char *log_file;
	const char *pidfile;
	const char *file_policy;
	const char *sysv;
	const char *time, *monotonic;
	const char *manage_cgroups;
	const char *ext_pipe;
	const char *netlink_queue;
	const char *fail_at;
	const char *prev;
	const char *sign, *verify, *encrypt, *decrypt;
	const char *compress;
	const char *to, *via, *receiver, *downtime, *max_rounds; /* migrate */
	const char *table;                                       /* unlock */
	const char *topic;                                       /* of help: a command or NULL */
	enum log_level level;
	unsigned timeout_ms;
	uint64_t ghost_limit;
	const char *root;
	char *root_map; /* of that, in path_map */
	bool ext_unix_sk;
	bool leave_running, leave_stopped, no_sync, snapshot, track_mem, dedup;
	bool file_contents, wipe_dontdump;
	bool lose_landlock, detach, explain, report, new_pidns, shell_job;
	bool tcp_established, tcp_close;
	bool lazy, on_demand, post_copy;
	bool json, help;
	struct words on_unknown_fd;
	struct words external, inherit_fd, path_map, tcp_map;
	struct words ext_unix, cgroup_root, action_script;
	bool accepted; /* something that is done anyway */
};

/* Fill *RET from the command line, for options_done() in any case; -EINVAL, explained, when it makes no sense. */
int options_parse(int argc, char **argv, struct options *ret);
void options_done(struct options *o);

/* The usage of one command; of crtool itself when NAME is NULL. -EINVAL, explained: no such command. */
int options_usage(const char *name, FILE *out);

/* The keys for reading a checkpoint; NULL: none is given. For keys_free(). */
int options_keys(const struct options *o, struct image_keys **ret_keys);

/* For commands that only read and write images: confine() (lib/confine.h). Explained. */
int confine_images(const char *dir);

/* The path of FILE, which is relative to the work-dir, in a fresh string. -ENOMEM. */
int options_path(const struct options *o, const char *file, char **ret_path);

/*
 * The commands, one per file. 0 or -errno, explained; what else the exit
 * status tells (of the restored program) goes to *RET_STATUS.
 */
#define COMMAND(name, summary) int command_##name(const struct options *o, int *ret_status);
#define OPTION(...)
#define LATER(...)
#include "cli/options.def"
#undef COMMAND
#undef OPTION
#undef LATER
