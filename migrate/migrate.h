/*
 * A tree moves to another machine: its memory goes ahead in rounds (pre-dumps, each relative to the one before) while
 * it runs; the last one is a dump, from which the receiver restores; only when the tree is whole there does it
 * end here. channel.h has the words.
 */
#pragma once

#include "dump/dump.h"
#include "restore/restore.h"

struct migration {
	const char *to;       /* a host for ssh(1), or a name for messages */
	const char *via;      /* a command of sh(1) that is connected to a receiver; NULL: ssh */
	const char *receiver; /* what ssh runs there */
	unsigned downtime_ms; /* how long the tree may stand still */
	bool post_copy; /* what is left when rounds help no more moves when the tree runs there */
	unsigned max_rounds; /* at most so many, the last one included */
};

/* The sender: OPT as for a dump. Explained; the tree runs on here after any failure but one that says so. */
int migrate_send(const struct migration *m, const struct dump_options *opt);

/*
 * The receiver, on stdin and stdout: OPT as for a restore, the checkpoints go into a fresh
 * directory in DIR, and are removed. Explained to both sides.
 */
int migrate_receive(const char *dir, const struct restore_options *opt);
