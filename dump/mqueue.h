/*
 * POSIX message queues of the tree: what mq_notify.c has asked of them in the
 * middle of the dump, mqueue.c writes at its end.
 */
#pragma once

#include <mqueue.h>

#include "dump/dump.h"

#define MQUEUE_COOKIE 32 /* NOTIFY_COOKIE_LEN */

struct mq_message {
	void *text;
	size_t len;
	unsigned priority;
};

/* Where the answers of a script are, by addresses in the task and numbers of ops. */
struct mq_asked {
	struct task *task; /* NULL: nobody was asked */
	int fd;
	size_t receive, send; /* of the first message; the others follow, PER_SEND between sends */
	uint64_t text, priority;
	size_t taken;    /* the notification is taken */
	uint64_t notice; /* siginfo_t, or the cookie */
	size_t renewed;  /* mq_notify(2) */
};

struct mqueue {
	dev_t dev;
	ino_t ino;
	struct mq_attr attr;
	pid_t notified; /* 0: nobody */
	int how;        /* SIGEV_* */
	int signo;      /* SIGEV_SIGNAL */
	int socket;     /* SIGEV_THREAD: netlink socket that is told */
	struct mq_asked asked;
	bool complete; /* all messages are known */
	ARRAY(struct mq_message) messages;
};

struct mqueues {
	ARRAY(struct mqueue) list;
};

/*
 * What the kernel tells of the queue F: attr, notified, how, signo of *RET. -errno explained.
 */
int mqueue_look(const struct file *f, struct mqueue *ret);
/* Do its messages fit into a script? */
bool mqueue_fits(const struct mqueue *q);
/* The queue of F that was asked before, or NULL. */
struct mqueue *mqueue_find(const struct dump *d, const struct file *f);
